//! Amazon Resource Names: six parts between colons, the last of which may have more of them.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>

use super::pattern::split_variable;

/// The six parts of an ARN.
pub(super) fn parts(arn: &str) -> Option<[&str; 6]> {
    let mut parts = arn.splitn(6, ':');
    let mut next = || parts.next();
    Some([next()?, next()?, next()?, next()?, next()?, next()?])
}

/// The six parts of a policy's ARN. Where there are variables, colons inside them part nothing.
pub(super) fn pattern_parts(arn: &str, variables: bool) -> Option<[&str; 6]> {
    if !variables {
        return parts(arn);
    }
    let mut rest = Some(arn);
    let mut next = || match rest.and_then(split) {
        Some((part, behind)) => {
            rest = Some(behind);
            Some(part)
        }
        None => None,
    };
    let first = [next()?, next()?, next()?, next()?, next()?];
    let [arn, partition, service, region, account] = first;
    Some([arn, partition, service, region, account, rest?])
}

/// Parts at the first colon that is not in a `${…}`.
fn split(text: &str) -> Option<(&str, &str)> {
    let mut rest = text;
    loop {
        let at = rest.find([':', '$'])?;
        let found = rest.get(at..)?;
        rest = match (found.strip_prefix(':'), split_variable(found)) {
            (Some(behind), _) => {
                let part = text.len().checked_sub(found.len())?;
                return Some((text.get(..part)?, behind));
            }
            (None, Some((_, behind))) => behind,
            (None, None) => found.get(1..)?,
        };
    }
}

/// Whether it is an account's id: 12 digits.
#[must_use]
pub fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_parts() {
        assert_eq!(
            parts("arn:aws:s3:::b/a:b"),
            Some(["arn", "aws", "s3", "", "", "b/a:b"])
        );
        assert_eq!(
            parts("arn:aws:s3:::"),
            Some(["arn", "aws", "s3", "", "", ""])
        );
        assert_eq!(parts("arn:aws:s3::"), None);
        assert_eq!(
            pattern_parts(
                "arn:aws:iam::${aws:PrincipalAccount}:user/${aws:username}:x",
                true
            ),
            Some([
                "arn",
                "aws",
                "iam",
                "",
                "${aws:PrincipalAccount}",
                "user/${aws:username}:x"
            ])
        );
        assert_eq!(
            pattern_parts("arn:aws:s3:${aws:RequestedRegion, 'a}:b'}::b", true),
            Some([
                "arn",
                "aws",
                "s3",
                "${aws:RequestedRegion, 'a}:b'}",
                "",
                "b"
            ])
        );
        for variables in [true, false] {
            assert_eq!(
                pattern_parts("arn:aws:s3:::$b:$", variables),
                parts("arn:aws:s3:::$b:$")
            );
            assert_eq!(
                pattern_parts("arn:aws:s3:${a:b:c", variables),
                parts("arn:aws:s3:${a:b:c")
            );
        }
        assert_eq!(pattern_parts("arn:aws:s3:${a:b}:c", true), None);
        assert_eq!(
            pattern_parts("arn:aws:s3:${a:b}:c", false),
            parts("arn:aws:s3:${a:b}:c")
        );
    }
}
