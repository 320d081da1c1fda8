//! `env.sh`: what clients need, for a shell to take.

use std::path::Path;

/// What a shell may have of another store and clients would take before, or beside, what `env.sh` sets.
const IN_THE_WAY: [&str; 6] = [
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ENDPOINT_URL_S3",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
];

/// For who reads `env.sh`.
const HINT: &str = "\
# `aws` before 1.29 and 2.13 reads no AWS_ENDPOINT_URL and asks amazonaws.com: get a newer one, or give it
# --endpoint-url \"$AWS_ENDPOINT_URL\" each time.
";

/// The authority is looked for beside `env.sh` first, so that both can be copied elsewhere together. Bash and zsh
/// can tell where that is; what zsh needs for it is no word of other shells.
const BESIDE: &str = r#"# `tls/ca.pem` or `ca.pem` beside this file comes first, in bash and zsh; other shells cannot tell where it is.
portcullis_here=
if [ -n "${BASH_SOURCE:-}" ]; then portcullis_here=$BASH_SOURCE
elif [ -n "${ZSH_VERSION:-}" ]; then eval 'portcullis_here=${(%):-%x}'
fi
case "$portcullis_here" in
  "") ;;
  */*) portcullis_here=$(CDPATH= cd -- "${portcullis_here%/*}/" && pwd) ;;
  *) portcullis_here=$PWD ;;
esac
if [ -n "$portcullis_here" ]; then
  if [ -f "$portcullis_here/tls/ca.pem" ]; then AWS_CA_BUNDLE=$portcullis_here/tls/ca.pem
  elif [ -f "$portcullis_here/ca.pem" ]; then AWS_CA_BUNDLE=$portcullis_here/ca.pem
  fi
fi
unset portcullis_here
export AWS_CA_BUNDLE
"#;

/// The whole of it: variables, and where the generated authority is.
pub(super) fn script(variables: &[(&str, String)], authority: Option<&Path>) -> String {
    let export = |(name, value): &(&str, String)| format!("export {name}={}\n", quoted(value));
    let exports: String = variables.iter().map(export).collect();
    let authority = authority.map_or_else(String::new, |ca| {
        format!(
            "AWS_CA_BUNDLE={}\n{BESIDE}",
            quoted(&ca.display().to_string())
        )
    });
    format!("{HINT}unset {}\n{exports}{authority}", IN_THE_WAY.join(" "))
}

/// Single quotes, in which a shell expands nothing.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
