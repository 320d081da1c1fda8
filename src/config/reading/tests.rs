use super::*;

const TEXT: &str = "region = 'a'\n[listener.tls]\nkey = 'b'\n\n[[users]]\nname = 'a.b'\n[[users]]\nname = 'c'\ntags = { x = 'y' }\n[[routes]]\nbucket = 'logs.*'\n[[users]]\nname = 'd'\naccess_keys = [\n  { id = 'AKD1', secret = { env = 'X' } },\n  { id = 'AKD2', secret = { env = 'X' } },\n]\n";

#[test]
fn keys_have_lines() {
    for (key, at) in [
        ("region", Some(1)),
        ("listener.tls", Some(2)),
        ("listener.tls.key", Some(3)),
        ("listener.tls.client_ca", Some(2)),
        ("users.a.b.policies", Some(5)),
        ("users.c.tags", Some(9)),
        ("users.c.policies", Some(7)),
        ("users.name", Some(5)),
        ("routes.logs.*", Some(10)),
        ("users.d.access_keys.AKD2.secret", Some(16)),
        ("--insecure-http", None),
        ("disk.path", None),
    ] {
        assert_eq!(line(TEXT, key), at, "{key}");
    }
    assert!(is_written(TEXT, "users", "a.b") && !is_written(TEXT, "users", "a"));
}

fn told(text: &str) -> (bool, usize, String) {
    let (file, wrong) = read(Path::new("c.toml"), text);
    let count = wrong.len();
    let told = Error::all(wrong).map_or_else(String::new, |all| all.to_string());
    (file.is_some(), count, told)
}

#[test]
fn what_is_wrong_is_left_out_and_nothing_else() {
    assert_eq!(told("region = 'a'\n"), (true, 0, String::new()));
    let (read, count, told_of) = told(
        "regoin = 'a'\n[listner]\naddress = 'x'\n[limits]\nrequests = 'many'\nthreads = 2\nsteams = 5",
    );
    assert!(
        read && count == 4 && told_of.starts_with("4 mistakes"),
        "{told_of}"
    );
    let words = ["line 1", "line 2", "line 5", "line 7"];
    for (one, word) in told_of.lines().skip(1).zip(words) {
        assert!(one.contains(word), "{one}");
    }
    // What is no TOML is told once; and a name that was left out is not missing as well. Values of several
    // lines are left out whole.
    for (text, count) in [
        ("region = \n", 1),
        ("a = 1\na = 2\n", 2),
        ("[[users]]\nnmae = 'a'\n", 1),
        ("[[users]]\npolicies = []\n", 1),
        ("[[users]]\nname = 5\n[[users]]\n[[groups]]\n", 3),
        (
            "[[users]]\nname = 'a'\naccess_keys = [\n  'AKIA',\n]\ngroups = 5\n[limits]\nthreads = 'x'\n",
            3,
        ),
        // Each of a line, and of a section that lacks something as well.
        (
            "[[users]]\nname = 'a'\naccess_keys = [{ id = 5, secret = 'x', enabled = 'y' }, { id = 'b', secrte = 7 }]\n",
            4,
        ),
        ("[root]\naccess_key = 'a'\nsecret_key = 'b'\n", 2),
        ("[limits]\nthreads = 'é'\nrequests = 'é'\n", 2),
        ("limits = { threads = 'x', requests = 'y' }\n", 2),
    ] {
        let (_, found, told) = told(text);
        assert_eq!(found, count, "{text}: {told}");
    }
}

/// With the key, its line and what is right, and none of the program's own types.
#[test]
fn what_is_right_is_said_in_the_words_of_the_file() {
    for (text, line, words) in [
        (
            "limits.requests = 'x'\n",
            1,
            ["`limits.requests`", "a whole number"],
        ),
        (
            "[limits]\n\"requests\" = 'x'\n",
            2,
            ["`limits.requests`", "a whole number"],
        ),
        ("limits = 5\n", 1, ["`limits`", "`[limits]`"]),
        (
            "[[listener]]\naddress = '127.0.0.1:1'\n",
            1,
            ["`listener`", "`[listener]`"],
        ),
        (
            "[routes]\nbucket = 'abc'\n",
            1,
            ["`routes`", "`[[routes]]`"],
        ),
        ("[users.alice]\n", 1, ["`users`", "`[[users]]`"]),
        ("users = ['alice']\n", 1, ["`users`", "`[[users]]`"]),
        ("policies = [[]]\n", 1, ["`policies`", "`[[policies]]`"]),
        (
            "[[users]]\nname = 'a'\naccess_keys = ['AKIA']\n",
            3,
            ["access_keys`", "[{ id = "],
        ),
        (
            "[[users]]\nname = 'a'\naccess_keys = { id = 'AKIA' }\n",
            3,
            ["access_keys`", "[{ id = "],
        ),
        (
            "[[users]]\nname = 'a'\ntags = 'x'\n",
            3,
            ["tags`", "team = "],
        ),
        (
            "[[users]]\nname = 'a'\ngroups = 'x'\n",
            3,
            ["`users.a.groups`", "a list"],
        ),
        (
            "[[users]]\nname = 'a'\ngroups = [5]\n",
            3,
            ["`users.a.groups`", "a text in quotes"],
        ),
        (
            "[[upstreams]]\nname = 'u'\n",
            1,
            [
                "`endpoint` is missing, as in `endpoint = ",
                "`credentials` is missing",
            ],
        ),
        (
            "[[users]]\nname = 'a'\naccess_keys = [{ id = 'AKIA' }]\n",
            3,
            [
                "access_keys.AKIA`",
                "`secret` is missing, as in `secret = { file",
            ],
        ),
        (
            "[root]\naccess_key = 5\nsecret_key = { env = 'X' }\n",
            2,
            ["`root.access_key`", "{ env = "],
        ),
        (
            "[root]\n",
            1,
            ["`access_key` is missing", "`secret_key` is missing"],
        ),
        (
            "[listener]\naddress = ':9000'\n",
            2,
            ["`listener.address`", "127.0.0.1:9000"],
        ),
        (
            "listener.tls.key = []\n",
            1,
            ["`listener.tls.key`", "a path in quotes"],
        ),
        ("[audit]\noutput = 5\n", 2, ["`audit.output`", "stdout"]),
        ("audit = 'stdout'\n", 1, ["`audit`", "`[audit]`"]),
    ] {
        let (_, count, told) = told(text);
        assert_eq!(count, 1, "{text}: {told}");
        assert!(told.contains(&format!("line {line}:")), "{text}: {told}");
        for word in words {
            assert!(told.contains(word), "{text}: {told}");
        }
        for word in [
            "struct", "expected", "invalid", "sequence", "variant", "usize", "field",
        ] {
            assert!(!told.contains(word), "{text}: {told}");
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_text_is_too_much(text in "(\\[+[a-z]{0,9}\\]{0,2}|[a-z]{1,9} = ['0-9a-zé\\[\\]{}]{0,5}|\n){0,12}") {
        let _ = read(Path::new("c"), &text);
        let _ = line(&text, "users.a.tags");
    }
}
