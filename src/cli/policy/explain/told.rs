//! An explanation, as text and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::super::decide::{by, name, why};
use super::play::Play;
use crate::authz::{Implied, Verdict};
use crate::iam::{By, Considered, Decision, Effect, Failure};

/// How many near misses are shown.
const CLOSEST: usize = 5;

/// What is told of a decision.
pub(super) struct Told<'a> {
    verdict: &'a Verdict<'a>,
    decision: &'static str,
    why: String,
    notes: Vec<String>,
    also: Vec<Also>,
    /// Of rights that a copy needs where its source has tags.
    tagged: Vec<Also>,
}

/// What is decided of a right that the request needs besides the one that is asked about.
pub(super) struct Also {
    action: &'static str,
    resource: String,
    because: String,
    decision: &'static str,
    why: String,
    absent: Vec<String>,
    ignored: Vec<String>,
}

impl Also {
    pub(super) fn new(implied: &Implied, verdict: &Verdict<'_>, play: &Play) -> Self {
        let (decision, why) = outcome(verdict, play);
        Self {
            action: implied.action,
            resource: implied.resource.clone(),
            because: implied.because.clone(),
            decision,
            why,
            absent: verdict.absent.clone(),
            ignored: verdict.ignored.clone(),
        }
    }
}

/// The decision and its reason, by policies and by what else keeps people out.
fn outcome(verdict: &Verdict<'_>, play: &Play) -> (&'static str, String) {
    let decision = &verdict.explanation.decision;
    let closed = play.closed.as_ref().filter(|_| !verdict.mends);
    match closed {
        Some(why) => ("implicit_deny", why.clone()),
        None if verdict.blocked => {
            let by = by(decision).map(By::to_string).unwrap_or_default();
            let why = format!(
                "public access is blocked: {by} allows it, but the bucket's policy is public, and the \
                 server or the bucket has `restrict_public_buckets`"
            );
            ("implicit_deny", why)
        }
        None => (name(decision), why(decision)),
    }
}

/// What is told where there is none.
pub(super) fn invalid(why: &str) -> String {
    format!("{}\n", json!({"decision": "invalid", "why": why}))
}

impl<'a> Told<'a> {
    pub(super) fn new(
        verdict: &'a Verdict<'a>,
        play: &Play,
        also: Vec<Also>,
        tagged: Vec<Also>,
    ) -> Self {
        let (mut decision, mut why) = outcome(verdict, play);
        let denied = also.iter().find(|also| also.decision != "allow");
        if let (Some(also), "allow") = (denied, decision) {
            decision = also.decision;
            why = format!(
                "such a request also needs `{}` on `{}`, for its `{}`: {}",
                also.action, also.resource, also.because, also.why
            );
        }
        let without = tagged.iter().find(|also| also.decision != "allow");
        if let (Some(also), "allow") = (without, decision) {
            why = format!(
                "if the source has no tags; of one that has, such a request also needs `{}` on `{}`: {}: {}. \
                 Without tags: {why}",
                also.action, also.resource, also.decision, also.why
            );
        }
        Self {
            verdict,
            decision,
            why,
            notes: notes(verdict, play, &also),
            also,
            tagged,
        }
    }

    pub(super) fn is_allowed(&self) -> bool {
        self.decision == "allow"
    }

    pub(super) fn as_json(&self) -> String {
        let explanation = &self.verdict.explanation;
        let context = self.verdict.context.iter();
        let context: serde_json::Map<_, _> = context
            .map(|(key, values)| (key.clone(), json!(values)))
            .collect();
        let all = |statements: &mut dyn Iterator<Item = &Considered<'_>>| {
            statements.map(statement).collect::<Vec<_>>()
        };
        let right = |also: &Also| {
            json!({
                "action": also.action,
                "resource": also.resource,
                "because": also.because,
                "decision": also.decision,
                "why": also.why,
            })
        };
        let also = self.also.iter().map(right);
        let tagged = self.tagged.iter().map(right);
        let object = json!({
            "also_needs": also.collect::<Vec<_>>(),
            "also_needs_if_the_source_has_tags": tagged.collect::<Vec<_>>(),
            "decision": self.decision,
            "why": self.why,
            "by": by(&explanation.decision).map(named),
            "public_access_blocked": self.verdict.blocked,
            "context": context,
            "notes": self.notes,
            "applies": all(&mut explanation.applying()),
            "closest": all(&mut explanation.closest(CLOSEST).into_iter()),
            "statements": all(&mut explanation.statements.iter()),
        });
        format!("{object}\n")
    }

    pub(super) fn as_text(&self, all: bool) -> String {
        let explanation = &self.verdict.explanation;
        let mut out = String::new();
        let _ = writeln!(out, "{}: {}", self.decision, self.why);
        for note in &self.notes {
            let _ = writeln!(out, "note: {note}");
        }
        let all_of_them = self.also.iter().map(|also| (also, ""));
        let where_tagged = self
            .tagged
            .iter()
            .map(|also| (also, ", where that has tags"));
        for (also, when) in all_of_them.chain(where_tagged) {
            let Also {
                action,
                resource,
                because,
                decision,
                why,
                ..
            } = also;
            let _ = writeln!(
                out,
                "also needs {action} on {resource}, for its {because}{when}: {decision}: {why}"
            );
        }
        let _ = writeln!(out, "\ncontext:");
        for (key, values) in &self.verdict.context {
            let _ = writeln!(out, "  {key} = {}", values.join(", "));
        }
        let mut section = |title: &str, statements: &[&Considered<'_>]| {
            if !statements.is_empty() {
                let _ = writeln!(out, "\n{title}:");
            }
            for considered in statements {
                line(&mut out, considered);
            }
        };
        let applying: Vec<_> = explanation.applying().collect();
        section("applies", &applying);
        let closest = explanation.closest(CLOSEST);
        section("came closest", &closest);
        // Every condition that was asked and not met may be what somebody wonders about.
        let others = explanation.statements.iter().filter(|considered| {
            let of_another = |f: &Failure<'_>| matches!(f, Failure::Action | Failure::Resource);
            let elsewhere = considered.failures.iter().any(of_another);
            let told = closest
                .iter()
                .any(|c| c.by == considered.by && c.place == considered.place);
            !considered.failures.is_empty() && !told && (all || !elsewhere)
        });
        section("does not apply", &others.collect::<Vec<_>>());
        let none = explanation.statements.is_empty();
        if matches!(explanation.decision, Decision::ImplicitDeny(_)) && none {
            out.push_str("\nno policy is in play\n");
        }
        out
    }
}

/// What should be known to read the decision.
fn notes(verdict: &Verdict<'_>, play: &Play, also: &[Also]) -> Vec<String> {
    let mut notes = play.notes.clone();
    for (key, known) in &verdict.contradicted {
        let so = match known {
            Some(known) => format!("who asks has `{known}`"),
            None => "who asks has none".to_owned(),
        };
        notes.push(format!("`{key}` is taken as it is given, and {so}"));
    }
    // What only a right besides is asked by is not left out.
    let used = |key: &&String| also.iter().any(|also| !also.ignored.contains(*key));
    for key in verdict.ignored.iter().filter(|key| !used(key)) {
        notes.push(format!(
            "`{key}` is left out: no request here has it for this action"
        ));
    }
    let by_others = also.iter().flat_map(|also| &also.absent);
    let mut absent: Vec<_> = verdict.absent.iter().chain(by_others).collect();
    absent.sort_unstable();
    absent.dedup();
    for key in absent {
        notes.push(format!(
            "policies ask for `{key}`, which is not given: the request is taken to be without it"
        ));
    }
    if verdict.mends {
        notes.push("root may manage a bucket's policy whatever that policy says".to_owned());
    }
    notes
}

fn named(by: &By) -> Value {
    json!({"policy": &*by.policy, "statement": by.statement, "sid": by.sid.as_deref()})
}

fn statement(considered: &Considered<'_>) -> Value {
    let failures = considered.failures.iter().map(ToString::to_string);
    json!({
        "effect": effect(considered),
        "place": considered.place.to_string(),
        "by": named(&considered.by),
        "fails": failures.collect::<Vec<_>>(),
    })
}

fn effect(considered: &Considered<'_>) -> &'static str {
    match considered.effect {
        Effect::Allow => "Allow",
        Effect::Deny => "Deny",
    }
}

fn line(out: &mut String, considered: &Considered<'_>) {
    let effect = effect(considered);
    let _ = writeln!(out, "  {effect}, {}: {}", considered.place, considered.by);
    for failure in &considered.failures {
        let _ = writeln!(out, "    {failure}");
    }
}
