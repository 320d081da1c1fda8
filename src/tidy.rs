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

/// What makes nothing of an error, in the rooms where an error of the disk's must stay one. Each of these
/// lines was looked at: what it swallows is no I/O result.
const SWALLOWS: [&str; 5] = [
    ".flatten()",
    ".ok()",
    ".filter_map(",
    ".unwrap_or_default()",
    "let _ = ",
];

/// Words of a line whose swallowed error is a parser's, or a lookup's in memory.
const HARMLESS: [&str; 15] = [
    "parse",
    "try_from",
    "from_utf8",
    "from_str_radix",
    "from_slice",
    "from_unix_timestamp_nanos",
    "decode_to_array",
    "strip_prefix",
    "first_chunk",
    "filter_map(known)",
    "into_iter().flatten()",
    "bytes.get(written..)",
    "ending.unwrap_or_default()",
    "try_acquire",
    "write!(name",
];

#[test]
fn no_result_of_the_disk_is_swallowed() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = 0;
    for room in ["backend/disk", "identity"] {
        for path in sources(&src.join(room)) {
            let name = path.to_string_lossy();
            if name.contains("tests") || name.ends_with("fixtures.rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text
                .split("#[cfg(test)]\nmod tests {")
                .next()
                .unwrap_or_default();
            for line in code
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
            {
                seen += 1;
                let swallows = SWALLOWS.iter().any(|swallow| line.contains(swallow));
                let harmless = HARMLESS.iter().any(|word| line.contains(word));
                assert!(
                    !swallows || harmless,
                    "{}: `{}` may make nothing of an error",
                    path.display(),
                    line.trim()
                );
            }
        }
    }
    assert!(seen > 2000, "the code was not found");
}
