//! A request as conditions may ask it.

use portcullis::iam::{Context, Key, Value, Values};

/// A request that has some keys once, some often, and some not.
#[derive(Debug)]
pub struct Asked;

impl Context for Asked {
    fn values(&self, key: &Key) -> Values<'_> {
        let text = |text: &'static str| Value::Text(text.into());
        match key.as_written().to_ascii_lowercase().as_str() {
            "aws:username" => Values::text("alice*"),
            "aws:userid" => Values::text("${aws:username}"),
            "aws:sourceip" => Values::One(Value::Address([203, 0, 113, 9].into())),
            "aws:securetransport" => Values::flag(true),
            "aws:currenttime" => Values::text("2026-11-18T10:20:30.000Z"),
            "aws:epochtime" => Values::One(Value::Epoch(1_795_000_000)),
            "aws:principalarn" => Values::text("arn:aws:iam::123456789012:user/alice"),
            "aws:principaltag/team" => Values::text("blue"),
            "s3:max-keys" => Values::text("10"),
            "s3:prefix" => Values::text("home/alice/"),
            "s3:x-amz-acl" => Values::Many(vec![text("private"), text("public-read")]),
            "s3:requestobjecttagkeys" => Values::Many(vec![text("team"), text("")]),
            "s3:delimiter" => Values::Many(Vec::new()),
            "aws:referer" => Values::text(""),
            _ => Values::Absent,
        }
    }
}
