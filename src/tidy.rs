//! The architecture, tested: rooms import only downward, and only their makers make the proofs.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::{Path, PathBuf};

/// Rooms from the bottom up; a room may import those before it.
const ORDER: [&str; 20] = [
    "crypto",
    "files",
    "iam",
    "s3",
    "sigv4",
    "identity",
    "authn",
    "fair",
    "authz",
    "transform",
    "audit",
    "backend",
    "handler",
    "listener",
    "metrics",
    "admin",
    "proxy",
    "config",
    "server",
    "cli",
];

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found
}

fn room(path: &Path) -> String {
    let below = path
        .strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
        .unwrap();
    let first = below
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_str()
        .unwrap();
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn rooms_import_only_downward() {
    let mut seen = 0;
    for path in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let importer = room(&path);
        let Some(at) = ORDER.iter().position(|r| *r == importer) else {
            continue;
        };
        let text = std::fs::read_to_string(&path).unwrap();
        for imported in text.split("crate::").skip(1) {
            let name: String = imported
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            let Some(other) = ORDER.iter().position(|r| *r == name) else {
                continue;
            };
            seen += 1;
            assert!(
                other <= at,
                "{} imports `{name}`, which is above `{importer}`",
                path.display()
            );
            assert!(
                !(importer == "iam" && name == "s3"),
                "`iam` knows ARNs and texts, not S3"
            );
        }
    }
    assert!(seen > 100, "the imports were not found");
}

/// The files of `backend/upstream` from the bottom up; one may import those before it.
const UPSTREAM: [&str; 28] = [
    "counters",
    "error",
    "xml",
    "mapping",
    "credentials",
    "config",
    "framing",
    "request",
    "pool",
    "names",
    "endpoint",
    "tls",
    "remote",
    "lease",
    "exchange",
    "download",
    "answer",
    "client",
    "response",
    "health",
    "probe",
    "buckets",
    "objects",
    "tagging",
    "listing",
    "verified",
    "multipart",
    "copy",
];

#[test]
fn an_upstreams_files_import_only_downward() {
    let room = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/backend/upstream");
    let text = |name: &str| std::fs::read_to_string(room.join(format!("{name}.rs"))).unwrap();
    let modules = text("mod");
    let modules = modules.lines().filter_map(|line| line.strip_prefix("mod "));
    let modules = modules.map(|name| name.trim_end_matches(';'));
    let unlisted: Vec<_> = modules
        .filter(|name| !UPSTREAM.contains(name) && *name != "tests")
        .collect();
    assert!(
        unlisted.is_empty(),
        "{unlisted:?} have no place in the order"
    );
    let mut seen = 0;
    for (at, importer) in UPSTREAM.iter().enumerate() {
        let text = text(importer);
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        for imported in code.split("super::").skip(1) {
            let names = match imported.strip_prefix('{') {
                Some(list) => list.split('}').next().unwrap(),
                None => imported
                    .split(|c: char| !c.is_alphanumeric() && c != '_')
                    .next()
                    .unwrap(),
            };
            for name in names.split(',').map(str::trim) {
                let below = UPSTREAM.iter().take(at).any(|file| *file == name);
                assert!(
                    below,
                    "`{importer}` imports `{name}`, which is not below it"
                );
                seen += 1;
            }
        }
    }
    assert!(seen > 80, "the imports were not found");
}

#[test]
fn every_room_is_in_the_order() {
    let lib =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    for line in lib.lines() {
        if let Some(name) = line
            .strip_prefix("pub mod ")
            .and_then(|l| l.strip_suffix(';'))
        {
            assert!(ORDER.contains(&name), "`{name}` has no place in the order");
        }
    }
}

#[test]
fn only_their_makers_make_the_proofs() {
    for path in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let text = std::fs::read_to_string(&path).unwrap();
        for (maker, proof) in [
            ("authn", "Caller {"),
            ("authn", "Proof {"),
            ("authz", "Permit {"),
            ("authz", "Granted("),
        ] {
            let makes = |line: &str| {
                let line = line.trim_start();
                line.contains(proof)
                    && !line.starts_with("//")
                    && !line.contains("struct")
                    && !line.contains("impl")
                    && !line.contains("-> ")
                    && !line.contains("GrantedCall")
            };
            if room(&path) != maker && room(&path) != "tidy" && text.lines().any(makes) {
                panic!("{} makes a `{proof}`", path.display());
            }
        }
    }
}

#[test]
fn every_key_is_in_the_full_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let example = std::fs::read_to_string(root.join("examples/full.toml")).unwrap();
    let file = std::fs::read_to_string(root.join("src/config/file.rs")).unwrap();
    for line in file.lines() {
        let Some(name) = line
            .strip_prefix("    pub ")
            .and_then(|l| l.split(':').next())
        else {
            continue;
        };
        assert!(
            example.contains(name),
            "examples/full.toml does not mention `{name}`"
        );
    }
}

#[test]
fn every_implemented_operation_is_routed_and_typed() {
    use crate::s3::operation::TargetKind;
    use crate::s3::{Addressing, Head, Operation, Peer, Request};
    for operation in Operation::ALL {
        let row = operation.row();
        let path = match row.target {
            TargetKind::Service => "/",
            TargetKind::Bucket => "/bucket",
            TargetKind::Object => "/bucket/key",
        };
        let value = |key: &str| match key {
            "list-type" => "2",
            "partNumber" => "1",
            "uploadId" => "u",
            _ => "",
        };
        let query: Vec<String> = row
            .sub_resource
            .iter()
            .map(|key| format!("{key}={}", value(key)))
            .collect();
        let target = if query.is_empty() {
            path.to_owned()
        } else {
            format!("{path}?{}", query.join("&"))
        };
        let mut headers = http::HeaderMap::new();
        if let Some(name) = row.header {
            headers.insert(name, http::HeaderValue::from_static("/source/key"));
        }
        let peer = Peer {
            address: [127, 0, 0, 1].into(),
            secure: true,
            tls_version: Some("1.3"),
        };
        let head = Head::new(
            row.method.clone(),
            &target,
            "localhost".to_owned(),
            headers,
            peer,
        )
        .unwrap();
        match Request::parse(head, &Addressing::default()) {
            Ok(request) => assert_eq!(request.call.operation(), *operation),
            Err(error) => {
                assert!(!row.implemented, "{}: {error}", row.name);
                assert_eq!(error.code().as_str(), "NotImplemented", "{}", row.name);
            }
        }
    }
}

/// What makes nothing of an error, in the rooms where an error of the disk's must stay one.
const SWALLOWS: [&str; 13] = [
    ".flatten()",
    ".ok()",
    ".filter_map(",
    ".unwrap_or_default()",
    ".unwrap_or(",
    ".is_ok()",
    "let _ = ",
    "if let Ok",
    "let Ok",
    "let Some(Ok",
    "let (Ok",
    "Err(_) =>",
    "Err(_) if",
];

/// What such a line swallows is no I/O result, or is none that decides anything: parts of lines, and why.
const HARMLESS: [(&str, &str); 42] = [
    // Numbers that fit, or are bounded where they do not.
    ("try_from(", "a conversion"),
    (".unwrap_or(u32::MAX)", "a conversion"),
    (
        ".unwrap_or(0)",
        "a conversion, or a count that was not kept",
    ),
    (".unwrap_or(1)", "a count in memory"),
    ("checked_add(takes)", "arithmetic"),
    ("from_unix_timestamp_nanos(", "a time out of range"),
    ("UNIX_EPOCH", "a time out of range"),
    // What is read of bytes that are there.
    ("parse().ok()", "a parser"),
    (".parse::<i128>().ok()", "a parser"),
    (".parse::<u16>().ok()", "a parser"),
    ("BucketName::parse", "a name that is no bucket's"),
    ("ObjectKey::parse", "a name that is no key's"),
    ("from_utf8", "a name or text that is none"),
    ("from_str_radix", "a parser"),
    ("from_slice", "a parser"),
    ("hex::decode", "a parser"),
    ("first_chunk", "a slice"),
    // Lookups in memory.
    ("rsplit_once('/')", "a path's parts"),
    ("path.get(", "a path's parts"),
    ("strip_prefix", "a text's parts"),
    ("strip_suffix", "a text's parts"),
    ("bytes.get(written..)", "a slice"),
    ("container(level, rest)", "a name's parts"),
    ("place.directories.get(", "a path's parts"),
    ("ending.unwrap_or_default()", "a name's parts"),
    ("file_name().unwrap_or_default()", "a path's parts"),
    ("filter_map(known)", "names of metadata"),
    ("into_iter().flatten()", "pairs in memory"),
    ("asked.unwrap_or((", "a choice that was not made"),
    ("write!(name", "a text in memory"),
    ("find(number).is_ok()", "a search in memory"),
    ("configured.unwrap_or(", "a configuration that was deleted"),
    // Locks and threads.
    ("try_acquire", "a permit that is not free"),
    (
        "lock.try_lock()",
        "a lock that is not free: nothing is remembered then",
    ),
    ("Handle::try_current()", "a thread without a runtime"),
    ("timeout(PAUSE", "a client that is slow"),
    (
        "if let Ok(Some(bytes)) = &outcome",
        "the outcome itself is what is answered",
    ),
    // Errors that are kept, or close.
    (
        "let Ok(buckets) = store.buckets() else",
        "a progress bar's estimate: the check itself fails",
    ),
    (
        "emptied.unwrap_or(Ok(()))",
        "no directory to prune is no error",
    ),
    ("Err(_) if overtaken", "whoever overtook it is answered"),
    (
        "Ok(_) | Err(_) => {}",
        "what cannot be told stays, for the collector",
    ),
    (
        "Ok(None) | Err(_) => PublicAccessBlock::ALL",
        "what cannot be read blocks all",
    ),
];

/// Arms for any error: where they are, how many there are, and what they do.
const ARMS: [(&str, usize, &str); 7] = [
    (
        "complete.rs",
        1,
        "an entity tag that is no digest was never a part's",
    ),
    (
        "place.rs",
        1,
        "a directory that could not be removed is read anew",
    ),
    ("threads.rs", 1, "no turn is free: it is waited for"),
    ("upload.rs", 1, "a record that is no record is damage"),
    ("walk.rs", 1, "a name that is no text is foreign"),
    ("measure.rs", 1, "the estimate is given up"),
    (
        "files.rs",
        1,
        "a stamp that nobody can tell is never the same",
    ),
];

#[test]
fn no_result_of_the_disk_is_swallowed() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = sources(&src.join("backend/disk"));
    files.extend(sources(&src.join("identity")));
    files.push(src.join("files.rs"));
    let (mut seen, mut used) = (0, std::collections::BTreeSet::new());
    for path in files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.to_string_lossy().contains("tests") || name == "fixtures.rs" {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text
            .split("#[cfg(test)]\nmod tests {")
            .next()
            .unwrap_or_default();
        let mut arms = 0;
        for line in code.lines().map(str::trim) {
            seen += 1;
            if line.starts_with("//") || !SWALLOWS.iter().any(|swallow| line.contains(swallow)) {
                continue;
            }
            if line.starts_with("Err(_) => ") {
                arms += 1;
                continue;
            }
            let harmless = HARMLESS.iter().find(|(part, _)| line.contains(part));
            let Some((part, _)) = harmless else {
                panic!("{}: `{line}` may make nothing of an error", path.display());
            };
            used.insert(*part);
        }
        let known = ARMS.iter().find(|(file, ..)| *file == name);
        let known = known.map_or(0, |(_, count, _)| *count);
        let there = path.display();
        assert!(
            arms <= known,
            "{there}: {arms} arms make nothing of an error"
        );
    }
    assert!(seen > 2000, "the code was not found");
    for (part, why) in HARMLESS {
        assert!(used.contains(part), "`{part}` ({why}) is nowhere any more");
    }
}
