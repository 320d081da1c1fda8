//! Writes a compiled policy as a document again.

use serde_json::{Map, Value, json};

use super::super::condition::Condition;
use super::super::pattern::Syntax;
use super::super::principal::Principals;
use super::super::statement::{Effect, Rule, Statement};
use super::Policy;

pub(super) fn document(policy: &Policy) -> String {
    let version = match policy.variables {
        true => "2012-10-17",
        false => "2008-10-17",
    };
    let written = policy.statements.iter();
    let statements: Vec<Value> = written.map(|s| statement(s, policy.variables)).collect();
    json!({ "Version": version, "Statement": statements }).to_string()
}

fn statement(statement: &Statement, variables: bool) -> Value {
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    if let Some(sid) = &statement.sid {
        put("Sid", json!(**sid));
    }
    let effect = match statement.effect {
        Effect::Allow => "Allow",
        Effect::Deny => "Deny",
    };
    put("Effect", json!(effect));
    match &statement.principals {
        None => {}
        Some(principals @ Principals::Only(_)) => {
            put("Principal", named(principals));
        }
        Some(principals @ Principals::Except(_)) => {
            put("NotPrincipal", named(principals));
        }
    }
    let actions = statement.actions.named().iter();
    let actions: Vec<&str> = actions.map(|action| action.as_written()).collect();
    put(
        name(&statement.actions, "Action", "NotAction"),
        json!(actions),
    );
    let syntax = Syntax {
        wildcards: true,
        variables,
    };
    let resources = statement.resources.named().iter();
    let resources: Vec<String> = resources.map(|pattern| pattern.write(syntax)).collect();
    put(
        name(&statement.resources, "Resource", "NotResource"),
        json!(resources),
    );
    if !statement.conditions.is_empty() {
        put("Condition", conditions(&statement.conditions, variables));
    }
    Value::Object(object)
}

fn name<T>(rule: &Rule<T>, only: &'static str, except: &'static str) -> &'static str {
    match rule {
        Rule::Only(_) => only,
        Rule::Except(_) => except,
    }
}

fn named(principals: &Principals) -> Value {
    let mut kinds: Map<String, Value> = Map::new();
    for one in principals.named() {
        let (kind, text) = one.write();
        let list = kinds.entry(kind).or_insert_with(|| json!([]));
        if let Value::Array(list) = list {
            list.push(json!(text));
        }
    }
    Value::Object(kinds)
}

fn conditions(conditions: &[Condition], variables: bool) -> Value {
    let mut operators: Map<String, Value> = Map::new();
    for condition in conditions {
        let keys = operators
            .entry(condition.operator.to_string())
            .or_insert_with(|| json!({}));
        if let Value::Object(keys) = keys {
            let values = condition.write(variables);
            keys.insert(condition.key.as_written().to_owned(), json!(values));
        }
    }
    Value::Object(operators)
}
