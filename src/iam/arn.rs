//! Amazon Resource Names: six parts between colons, the last of which may have more of them.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>

/// The six parts of an ARN.
pub(super) fn parts(arn: &str) -> Option<[&str; 6]> {
    let mut parts = arn.splitn(6, ':');
    let mut next = || parts.next();
    Some([next()?, next()?, next()?, next()?, next()?, next()?])
}

/// The six parts of a policy's ARN, in whose variables colons part nothing.
pub(super) fn pattern_parts(arn: &str) -> Option<[&str; 6]> {
    let mut rest = Some(arn);
    let mut next = |last: bool| {
        let text = rest?;
        match colon(text) {
            Some(at) if !last => {
                rest = text.get(at.saturating_add(1)..);
                text.get(..at)
            }
            _ => rest.take(),
        }
    };
    Some([
        next(false)?,
        next(false)?,
        next(false)?,
        next(false)?,
        next(false)?,
        next(true)?,
    ])
}

/// The first colon that is not in a `${…}`.
fn colon(text: &str) -> Option<usize> {
    let mut inside = false;
    let mut before = b' ';
    text.bytes().position(|byte| {
        match byte {
            b'{' if before == b'$' => inside = true,
            b'}' => inside = false,
            _ => {}
        }
        before = byte;
        byte == b':' && !inside
    })
}

/// Whether it is an account's id.
pub(super) fn is_account(text: &str) -> bool {
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
            pattern_parts("arn:aws:iam::${aws:PrincipalAccount}:user/${aws:username}:x"),
            Some([
                "arn",
                "aws",
                "iam",
                "",
                "${aws:PrincipalAccount}",
                "user/${aws:username}:x"
            ])
        );
        assert_eq!(pattern_parts("arn:aws:s3:::b"), parts("arn:aws:s3:::b"));
        assert_eq!(pattern_parts("arn:aws:s3:${a:b:c"), None);
    }
}
