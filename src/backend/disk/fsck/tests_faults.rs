//! Every system call of a check fails, in every way that a disk fails: what could not be read is never
//! called sound, and nothing is removed on its account.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;

use super::fixtures::{Heard, Tree, check, furnished, tree};
use super::*;
use crate::backend::disk::Durability;
use crate::backend::disk::faults::injected::{Plan, Rule, follow};
use crate::backend::disk::fixtures::{
    ERRNOS, complete, directory, get, object_file, open_at, runtime, upload,
};

/// A store with something to repair of every kind that can be.
fn broken(root: &Path) {
    let in_bucket = |path: &str| root.join("buckets/bucket").join(path);
    runtime().block_on(async {
        furnished(root).await;
        let disk = open_at(root, Durability::Relaxed);
        let (id, part) = upload(&disk, "done", b"done").await;
        let upload = in_bucket("uploads").join(&id);
        let kept = root.join("kept");
        fs::create_dir(&kept).unwrap();
        for name in ["upload", "1"] {
            fs::hard_link(upload.join(name), kept.join(name)).unwrap();
        }
        complete(&disk, "done", &id, part).await;
        drop(disk);
        fs::rename(kept, upload).unwrap();
    });
    fs::write(object_file(root, "d/e/f@"), "damage").unwrap();
    fs::write(object_file(root, "m/o@"), "damage").unwrap();
    fs::create_dir(object_file(root, "y")).unwrap();
    let random = |digit: &str| digit.repeat(32);
    fs::write(in_bucket("tmp").join(random("1")), "x").unwrap();
    fs::write(root.join("staging").join(random("2")), "x").unwrap();
    fs::create_dir(in_bucket("parts").join(random("3"))).unwrap();
    fs::create_dir(in_bucket("uploads").join(random("4"))).unwrap();
    let unnamed = in_bucket("parts").join(random("5"));
    fs::create_dir(&unnamed).unwrap();
    fs::copy(object_file(root, "k@"), unnamed.join("1")).unwrap();
}

/// What no repair may lose: the bytes of every file that is no leftover.
fn precious(tree: &Tree) -> Vec<Vec<u8>> {
    let mut all: Vec<_> = tree
        .iter()
        .filter(|(path, _)| {
            let path = path.to_string_lossy();
            path.contains("/objects/") || path.contains("/parts/") && !path.contains("5555/")
        })
        .filter_map(|(_, bytes)| bytes.clone())
        .collect();
    all.sort();
    all
}

/// Runs a check under a rule; the calls that were made.
fn run(prepare: fn(&Path), repair: bool, rule: Option<Rule>) -> BTreeMap<&'static str, usize> {
    let directory = directory();
    let root = directory.path();
    prepare(root);
    let before = tree(root);
    let plan = Arc::new(Plan::default());
    plan.set(rule);
    follow(Some(plan.clone()));
    let mut heard = Heard::default();
    let outcome = fsck(root, repair, &mut heard);
    follow(None);
    let made = plan.made();
    let told = format!("{rule:?}, repair {repair}: {outcome:?} {:?}", heard.0);
    match (&outcome, rule) {
        (Ok(summary), None) => assert_ne!(summary.verdict(), Verdict::Unknown, "{told}"),
        // What failed once may have been done at the second try.
        (Ok(summary), Some(_)) if repair && summary.verdict() == Verdict::Sound => {
            assert_eq!(check(root, false).0.verdict(), Verdict::Sound, "{told}");
        }
        (Ok(summary), Some(_)) => assert_eq!(summary.verdict(), Verdict::Unknown, "{told}"),
        (Err(_), rule) => assert!(rule.is_some(), "{told}"),
    }
    let after = tree(root);
    match repair {
        false => assert_eq!(after, before, "{told}"),
        true => {
            let (before, after) = (precious(&before), precious(&after));
            assert_eq!(before.len(), after.len(), "{told}");
            assert!(before == after, "{told}");
        }
    }
    // Nothing that was said or done on account of the fault is in the way.
    let (summary, found) = check(root, true);
    assert_eq!(summary.verdict(), Verdict::Sound, "{told}, then {found:?}");
    runtime().block_on(async {
        let disk = open_at(root, Durability::Relaxed);
        for key in ["k", "empty", "large", "tagged"] {
            get(&disk, key).await.unwrap();
        }
    });
    made
}

fn prepare_sound(root: &Path) {
    runtime().block_on(async { drop(furnished(root).await) });
}

#[test]
fn t72_a_fault_is_never_taken_for_soundness_damage_or_absence() {
    let mut rules = Vec::new();
    for (prepare, repair) in [
        (prepare_sound as fn(&Path), false),
        (broken as fn(&Path), true),
    ] {
        let made = run(prepare, repair, None);
        for call in ["open", "stat", "pread", "getdents"] {
            assert!(made.contains_key(call), "`{call}` is not made");
        }
        for call in ["rename", "mkdir", "unlink", "fsync"] {
            assert_eq!(made.contains_key(call), repair, "`{call}`");
        }
        for (call, count) in made {
            for nth in 0..count {
                for (at, errno) in ERRNOS.into_iter().enumerate() {
                    // All of them the first times, then in turn.
                    if nth < 2 || nth % ERRNOS.len() == at {
                        let rule = Rule {
                            call,
                            nth,
                            lasting: (nth / ERRNOS.len()).is_multiple_of(2),
                            errno,
                        };
                        rules.push((prepare, repair, rule));
                    }
                }
            }
        }
    }
    let lanes = rules.chunks(rules.len().div_ceil(2));
    std::thread::scope(|scope| {
        for lane in lanes {
            scope.spawn(move || {
                for (prepare, repair, rule) in lane {
                    run(*prepare, *repair, Some(*rule));
                }
            });
        }
    });
}
