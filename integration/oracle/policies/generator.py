"""Random cases for the policy oracle: mostly well-formed policies and requests that hit them.

`sample(seed, index)` is a pure function of its two numbers. The request is made first; statements are then made
around it, so that actions, resources, principals and condition values often match, or miss by little. A case whose
decision hangs on a point that AWS's documentation leaves open (`evaluator.POINTS`) is replaced by another one.
"""

import base64
import random
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from evaluator import ACCOUNT, OPERATORS, Examination, examine

USERS = ["alice", "bob", "Bob", "division/carol"]
ROLES = ["reader", "team/writer", "audit"]
SESSIONS = ["build-7", "dora", "batch@example.com"]
BUCKETS = ["photos", "photos-eu", "logs", "data.lake"]
KEYS = [
    "home/alice/a.txt", "home/bob/notes.md", "home/bob/", "public/index.html", "team/red/2024/r.csv", "team/blue/r.csv",
    "a*b", "a*b/c?d", "what?.txt", "price$5", "${x}", "${aws:username}/f", "a{b}c", "}{", "my file.txt", "a:b:c",
    "ключ/данные", "日本/語.txt", "café", "a//b", "/lead", "trail/", "Home/Alice/A.TXT", "100%", "it's", "x",
    "finance/q1", "arn:aws:s3:::photos/x", "engineering/alice/red", "new\nline", "тест*?$", "b'} c",
]
OBJECT_ACTIONS = [
    "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:GetObjectVersion", "s3:DeleteObjectVersion",
    "s3:GetObjectTagging", "s3:PutObjectTagging", "s3:GetObjectAcl", "s3:PutObjectAcl", "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts", "s3:PutObjectRetention", "s3:PutObjectLegalHold", "s3:BypassGovernanceRetention",
]
BUCKET_ACTIONS = [
    "s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads", "s3:GetBucketLocation",
    "s3:CreateBucket", "s3:DeleteBucket", "s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy",
    "s3:GetBucketTagging",
]
POLICY_ACTIONS = ["s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"]
OTHER_ACTIONS = ["iam:GetUser", "iam:*", "sts:AssumeRole", "sts:*"]

WORDS = ["red", "blue", "alice", "bob", "finance", "engineering", "Red", "prod", "a*b", "a?c", "$x", "${y}",
         "café", "two words"]
DATES = ["2024-02-29T12:00:00Z", "2024-03-01T00:00:00Z", "2024-12-31T23:59:59Z", "2025-06-15T08:30:00Z",
         "2030-01-01T00:00:00Z", "2024-03-01T00:00:00.250Z"]
ADDRESSES = ["192.0.2.1", "192.0.2.200", "198.51.100.7", "203.0.113.5", "2001:db8::1", "2001:db8:1234:5678::9",
             "2001:DB8:1234:0:0:0:0:1", "fe80::1"]


class Key(NamedTuple):
    """A condition key: the family of its type, and values as they arrive in requests."""

    name: str
    family: str
    values: list
    many: bool = False


ARNS = [f"arn:aws:iam::{ACCOUNT}:user/alice", f"arn:aws:iam::{ACCOUNT}:user/bob",
        f"arn:aws:iam::{ACCOUNT}:user/division/carol", f"arn:aws:iam::{ACCOUNT}:role/reader",
        f"arn:aws:iam::{ACCOUNT}:role/team/writer", f"arn:aws:iam::{ACCOUNT}:root"]
PREFIXES = ["home/alice/", "home/bob/", "home/", "team/red/", "team/blue/", "", "public/", "a*b", "ключ/",
            "Home/Alice/"]

CONDITION_KEYS = [
    Key("aws:username", "String", ["alice", "bob", "carol", "Bob"]),
    Key("aws:userid", "String", ["AIDAEXAMPLEALICE", "AROAEXAMPLE:build-7", ACCOUNT, "anonymous"]),
    Key("aws:PrincipalType", "String", ["User", "AssumedRole", "Account", "Anonymous"]),
    Key("aws:PrincipalAccount", "String", [ACCOUNT, "999999999999"]),
    Key("aws:PrincipalTag/team", "String", WORDS),
    Key("aws:PrincipalTag/Department", "String", WORDS),
    Key("aws:PrincipalTag/cost center", "String", WORDS),
    Key("aws:RequestTag/env", "String", WORDS),
    Key("aws:ResourceTag/owner", "String", WORDS),
    Key("aws:UserAgent", "String", ["aws-cli/2.15 (linux)", "Boto3/1.34", "Mozilla/5.0 *"]),
    Key("aws:Referer", "String", ["https://example.com/page", "http://www.example.com/", "https://example.org/?q=1"]),
    Key("aws:FederatedProvider", "String", ["accounts.google.com", "cognito-identity.amazonaws.com"]),
    Key("aws:SourceIdentity", "String", WORDS),
    Key("aws:RequestedRegion", "String", ["us-east-1", "eu-central-1", "eu-west-1"]),
    Key("s3:prefix", "String", PREFIXES),
    Key("s3:delimiter", "String", ["/", "*", "?"]),
    Key("s3:VersionId", "String", ["null", "3sL4kqtJlcpXroDTDmJ", "UIORUnfndfiufdisojhr398493jfdkjFJ"]),
    Key("s3:ExistingObjectTag/class", "String", WORDS),
    Key("s3:RequestObjectTag/env", "String", WORDS),
    Key("s3:x-amz-acl", "String", ["private", "public-read", "bucket-owner-full-control"]),
    Key("s3:x-amz-copy-source", "String",
        ["/photos/home/alice/a.txt", "photos/home/alice/a.txt", "logs/x?versionId=1"]),
    Key("s3:x-amz-metadata-directive", "String", ["COPY", "REPLACE"]),
    Key("s3:x-amz-server-side-encryption", "String", ["AES256", "aws:kms"]),
    Key("s3:x-amz-storage-class", "String", ["STANDARD", "STANDARD_IA", "GLACIER"]),
    Key("s3:x-amz-content-sha256", "String", ["UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "e3b0c442"]),
    Key("s3:authType", "String", ["REST-HEADER", "REST-QUERY-STRING", "POST"]),
    Key("s3:signatureversion", "String", ["AWS4-HMAC-SHA256", "AWS"]),
    Key("s3:if-none-match", "String", ["*", '"abc"']),
    Key("s3:if-match", "String", ['"abc"', '"a*c"']),
    Key("s3:object-lock-mode", "String", ["GOVERNANCE", "COMPLIANCE"]),
    Key("s3:object-lock-legal-hold", "String", ["ON", "OFF"]),
    Key("aws:TagKeys", "String", ["env", "team", "Env", "cost*", "owner"], many=True),
    Key("s3:RequestObjectTagKeys", "String", ["class", "env", "Class", "due?", "owner"], many=True),
    Key("aws:PrincipalArn", "Arn", ARNS),
    Key("s3:x-amz-server-side-encryption-aws-kms-key-id", "Arn",
        [f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/1a2b", f"arn:aws:kms:us-east-1:{ACCOUNT}:key/3c4d",
         "arn:aws:kms:us-east-1:999999999999:key/1a2b",
         f"arn:aws:kms:us-east-1:999999999999:alias/x:{ACCOUNT}:key/1a2b"]),
    Key("s3:max-keys", "Numeric", ["0", "1", "10", "100", "1000"]),
    Key("s3:signatureAge", "Numeric", ["0", "1500", "600000", "86400000"]),
    Key("s3:TlsVersion", "Numeric", ["1.1", "1.2", "1.3"]),
    Key("aws:MultiFactorAuthAge", "Numeric", ["10", "3600", "7200"]),
    Key("s3:object-lock-remaining-retention-days", "Numeric", ["1", "30", "365"]),
    Key("aws:CurrentTime", "Date", DATES),
    Key("aws:TokenIssueTime", "Date", DATES),
    Key("s3:object-lock-retain-until-date", "Date", DATES),
    # IAM: condition-keys: aws:EpochTime works with date and with numeric operators.
    Key("aws:EpochTime", "Date", ["1709208000", "1709251200", "1749976200"]),
    Key("aws:EpochTime", "Numeric", ["1709208000", "1709251200", "1749976200"]),
    Key("aws:SecureTransport", "Bool", ["true", "false"]),
    Key("aws:MultiFactorAuthPresent", "Bool", ["true", "false"]),
    Key("s3:ObjectCreationOperation", "Bool", ["true", "false"]),
    Key("aws:SourceIp", "IpAddress", ADDRESSES),
    Key("aws:PrincipalTag/blob", "Binary", ["QmluYXJ5", "AAECAw==", "3q2+7w=="]),
    Key("aws:RequestTag/blob", "Binary", ["QmluYXJ5", "AAECAw==", "3q2+7w=="]),
]
KEYS_OF = {family: [key for key in CONDITION_KEYS if key.family == family]
           for family in ("String", "Arn", "Numeric", "Date", "Bool", "IpAddress", "Binary")}
MANY = {key.name.lower() for key in CONDITION_KEYS if key.many}

QUALIFIERS = ["", "ForAllValues:", "ForAnyValue:"]
PRINCIPAL_KINDS = ["user", "session", "anonymous", "root"]
INVALID_SHARE = 0.03


def chance(rng: random.Random, probability: float) -> bool:
    """True with this probability."""
    return rng.random() < probability


def some(rng: random.Random, items: list, most: int = 3) -> list:
    """One to `most` of the items."""
    return rng.sample(items, min(len(items), 1 + int(rng.random() ** 2 * most)))


def one_or_list(rng: random.Random, values: list):
    """A list, or its only value without brackets."""
    return values[0] if len(values) == 1 and chance(rng, 0.5) else values


def swap_case(rng: random.Random, text: str) -> str:
    """The text with the case of ASCII letters changed at random."""
    return "".join(char.swapcase() if char.isascii() and chance(rng, 0.5) else char for char in text)


class Builder:
    """One case in the making."""

    def __init__(self, rng: random.Random):
        self.rng = rng
        self.context: dict[str, list[str]] = {}
        # The context's keys by their name in lower case.
        self.names: dict[str, str] = {}
        self.kind = rng.choices(PRINCIPAL_KINDS, [46, 34, 10, 10])[0]
        self.role = None
        self.principal = self.make_principal()
        self.bucket = rng.choice(BUCKETS)
        if chance(rng, 0.65):
            self.action = rng.choice(OBJECT_ACTIONS)
            self.resource = f"{self.bucket}/{rng.choice(KEYS)}"
        else:
            self.action = rng.choice(BUCKET_ACTIONS)
            self.resource = self.bucket
        if self.kind == "root" and chance(rng, 0.4):
            self.action, self.resource = rng.choice(POLICY_ACTIONS), self.bucket
        self.target = f"arn:aws:s3:::{self.resource}"
        self.fill_context()

    def make_principal(self) -> str:
        """The caller, and its role if it has one."""
        if self.kind == "user":
            return f"arn:aws:iam::{ACCOUNT}:user/{self.rng.choice(USERS)}"
        if self.kind == "session":
            role = self.rng.choice(ROLES)
            self.role = f"arn:aws:iam::{ACCOUNT}:role/{role}"
            name = role.rpartition("/")[2]
            return f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/{self.rng.choice(SESSIONS)}"
        return self.kind

    # --- The request's context ---

    def fill_context(self) -> None:
        """Keys that describe the caller, and some of the others."""
        rng = self.rng
        name = self.principal.rpartition("/")[2]
        of_caller = {
            "user": {"aws:username": name, "aws:userid": f"AIDAEXAMPLE{name.upper()}", "aws:PrincipalType": "User",
                     "aws:PrincipalArn": self.principal, "aws:PrincipalAccount": ACCOUNT},
            "session": {"aws:userid": f"AROAEXAMPLE:{name}", "aws:PrincipalType": "AssumedRole",
                        "aws:PrincipalArn": self.role, "aws:PrincipalAccount": ACCOUNT},
            "anonymous": {"aws:userid": "anonymous", "aws:PrincipalType": "Anonymous"},
            "root": {"aws:userid": ACCOUNT, "aws:PrincipalType": "Account", "aws:PrincipalAccount": ACCOUNT,
                     "aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:root"},
        }[self.kind]
        for key, value in of_caller.items():
            if chance(rng, 0.5):
                self.put(key, [value])
        for key in rng.sample(CONDITION_KEYS, rng.randint(2, 6)):
            if not self.find(key.name):
                self.add_key(key)
        if self.action.startswith("s3:ListBucket") and not self.find("s3:prefix") and chance(rng, 0.6):
            self.put("s3:prefix", [rng.choice(PREFIXES)])

    def vary_case(self, key: str) -> str:
        """A condition key's name, now and then in another case."""
        return swap_case(self.rng, key) if chance(self.rng, 0.08) else key

    def find(self, key: str) -> str | None:
        """The name under which the context has a key."""
        return self.names.get(key.lower())

    def put(self, key: str, values: list[str]) -> None:
        """Add a key that the context does not have."""
        name = self.vary_case(key)
        self.names[key.lower()] = name
        self.context[name] = values

    def add_key(self, key: Key, many: float = 0.1) -> None:
        """Add a key with no value, one, or several."""
        rng = self.rng
        if chance(rng, 0.06):
            values = []
        elif chance(rng, max(many, 0.5 if key.many else 0)):
            values = rng.sample(key.values, min(len(key.values), rng.randint(2, 3)))
        else:
            values = [rng.choice(key.values)]
        if key.family == "String" and chance(rng, 0.02):
            values = [""]
        self.put(key.name, values)

    # --- Text in policies ---

    def words_in(self, text: str) -> list[tuple[str, str]]:
        """Keys of the context whose only value is part of the text."""
        return [(key, values[0]) for key, values in self.context.items()
                if len(values) == 1 and len(values[0]) > 1 and values[0] in text and key.lower() not in MANY
                and " " not in key]

    def as_policy_text(self, text: str, variables: bool, wildcards: bool) -> str:
        """Policy text that matches `text`, or nearly: with variables, wildcards and escapes."""
        rng = self.rng
        before, middle, after = text, "", ""
        if variables:
            words = self.words_in(text)
            if words and chance(rng, 0.45):
                key, value = rng.choice(words)
                at = text.index(value)
                default = ", 'nobody'" if chance(rng, 0.15) else ""
                before, middle, after = text[:at], f"${{{self.vary_case(key)}{default}}}", text[at + len(value):]
            elif len(text) > 1 and chance(rng, 0.12):
                at = rng.randrange(len(text))
                end = rng.randint(at + 1, len(text))
                name = rng.choice(["aws:PrincipalTag/nobody", "s3:prefix", "aws:username", "aws:SourceIdentity"])
                default = f", '{text[at:end]}'" if chance(rng, 0.6) and not set(text[at:end]) & set("'*?") else ""
                before, middle, after = text[:at], f"${{{name}{default}}}", text[end:]
        if wildcards:
            before, after = self.with_wildcards(before, after)
        return self.escape(before, variables, wildcards) + middle + self.escape(after, variables, wildcards)

    def with_wildcards(self, before: str, after: str) -> tuple[str, str]:
        """Replace a piece of either text by a wildcard. Wildcards are the private characters U+E000 and U+E001."""
        rng = self.rng
        if chance(rng, 0.2):
            return before, after
        if after and chance(rng, 0.5):
            return before, self.one_wildcard(after)
        return self.one_wildcard(before), (after if chance(rng, 0.7) else "\ue000")

    def one_wildcard(self, text: str) -> str:
        """Replace the end, the beginning, the middle or one character."""
        rng = self.rng
        at = rng.randint(0, len(text))
        end = rng.randint(at, len(text))
        shape = rng.random()
        if shape < 0.45:
            return text[:at] + "\ue000"
        if shape < 0.55:
            return "\ue000" + text[at:]
        if shape < 0.75:
            return text[:at] + "\ue000" + text[end:]
        if at < len(text):
            return text[:at] + "\ue001" + text[at + 1:]
        return text + rng.choice(["\ue000", "\ue001", "x"])

    def escape(self, text: str, variables: bool, wildcards: bool) -> str:
        """Literal text as a policy writes it, and our marks for wildcards as wildcards."""
        rng = self.rng
        written = ""
        for at, char in enumerate(text):
            if char in "*?" and variables and chance(rng, 0.8 if wildcards else 0.4):
                written += f"${{{char}}}"
            elif char == "$" and variables and (text[at + 1:at + 2] in ("{", "") or chance(rng, 0.5)):
                written += "${$}"
            else:
                written += {"\ue000": "*", "\ue001": "?"}.get(char, char)
        return written

    # --- Conditions ---

    def condition(self, variables: bool) -> dict:
        """A condition of one to three keys."""
        condition: dict[str, dict] = {}
        for _ in range(self.rng.choices([1, 2, 3], [65, 27, 8])[0]):
            name, key, values = self.atom(variables)
            keys = condition.setdefault(name, {})
            if key.lower() not in {other.lower() for other in keys}:
                keys[key] = values
        return condition

    def atom(self, variables: bool) -> tuple[str, str, object]:
        """An operator, a key and values."""
        rng = self.rng
        families = {"String": 30, "Numeric": 17, "Date": 17, "Arn": 12, "Bool": 6, "IpAddress": 8, "Binary": 4,
                    "Null": 6}
        family = rng.choices(list(families), list(families.values()))[0]
        plain = rng.choice([name for name, meaning in OPERATORS.items() if meaning[0] == family])
        if family == "Null":
            key = rng.choice(CONDITION_KEYS)
            values = [rng.choice(["true", "false", True, False])]
            return plain, self.vary_case(key.name), one_or_list(rng, values)
        qualifier = rng.choices(QUALIFIERS, [56, 22, 22])[0]
        suffix = "IfExists" if chance(rng, 0.25) else ""
        key = self.key_for(family, many=0.5 if qualifier else 0.04)
        values = self.policy_values(plain, key, variables)
        return qualifier + plain + suffix, self.vary_case(key.name), one_or_list(rng, values)

    def key_for(self, family: str, many: float) -> Key:
        """A key of the family, most often one that the request has."""
        rng = self.rng
        keys = KEYS_OF[family]
        if family == "Arn" and chance(rng, 0.55):
            keys = keys[:1]
        there = [key for key in keys if self.find(key.name)]
        if there and chance(rng, 0.7):
            return rng.choice(there)
        key = rng.choice(keys)
        if not self.find(key.name) and chance(rng, 0.75):
            self.add_key(key, many)
        return key

    def policy_values(self, plain: str, key: Key, variables: bool) -> list:
        """Values for an operator, near the request's."""
        rng = self.rng
        family, kind, negated = OPERATORS[plain]
        name = self.find(key.name)
        present = self.context[name] if name else []
        count = 1 if family == "Bool" else rng.choices([1, 2, 3], [55, 28, 17])[0]
        chosen = rng.sample(key.values, min(count, len(key.values)))
        if present and chance(rng, 0.3 if negated else 0.6):
            chosen[0] = rng.choice(present)
        if len(present) > 1 and not negated and chance(rng, 0.4):
            chosen = list(present)
        write = {"String": self.write_string, "Arn": self.write_arn, "Numeric": self.write_number,
                 "Date": self.write_date, "Bool": self.write_bool, "IpAddress": self.write_range,
                 "Binary": lambda value, *_: value}[family]
        return [write(value, kind, variables) for value in chosen]

    def write_string(self, value: str, kind: str, variables: bool):
        """A string or a pattern that matches it."""
        if chance(self.rng, 0.5 if kind == "EqualsIgnoreCase" else 0.06):
            value = swap_case(self.rng, value)
        return self.as_policy_text(value, variables, kind == "Like")

    def write_arn(self, value: str, kind: str, variables: bool):
        """An ARN or a pattern of one."""
        if value.count(":") < 5:
            return value
        rng = self.rng
        *head, last = value.split(":", 5)
        if ":" in last and chance(rng, 0.6):
            # As in the documentation's example: a string's * would reach over the colons, an ARN's does not.
            *_, account, last = value.split(":")
            return ":".join([*head[:3], "*", account, last])
        if chance(rng, 0.3):
            at = rng.randrange(1, 5)
            head[at] = "*" if chance(rng, 0.7) else head[at][:2] + "*"
        if chance(rng, 0.05):
            head = ["arn", "aws", "*", "*", "*"]
        return ":".join([*head, self.as_policy_text(last, variables, True)])

    def write_number(self, value: str, *_):
        """The number, another notation of it, or a neighbour."""
        rng = self.rng
        if "." not in value:
            value = str(max(0, int(value) + rng.choice([0, 0, 0, 1, -1, 100])))
            if chance(rng, 0.1):
                value += rng.choice([".0", ".5", ".00"])
        if chance(rng, 0.15):
            return float(value) if "." in value else int(value)
        return value

    def write_date(self, value: str, *_):
        """The instant in another notation, or one near it."""
        rng = self.rng
        if value.isdigit():
            instant = datetime.fromtimestamp(int(value), timezone.utc)
        elif value:
            instant = datetime.fromisoformat(value.replace("Z", "+00:00"))
        else:
            return DATES[0]
        instant += timedelta(seconds=rng.choice([0, 0, 0, 0, 1, -1, 3600, -86400, 86400 * 40]))
        shape = rng.random()
        if shape < 0.2:
            seconds = int(instant.timestamp())
            return seconds if chance(rng, 0.3) else str(seconds)
        if shape < 0.35:
            hours = rng.choice([-8, -3, 2, 9])
            local = instant.astimezone(timezone(timedelta(hours=hours, minutes=rng.choice([0, 30]))))
            return local.isoformat()
        if shape < 0.5:
            return instant.strftime("%Y-%m-%d")
        if shape < 0.55:
            return instant.strftime("%Y-%m-%dT%H:%MZ")
        if shape < 0.57:
            return instant.strftime(rng.choice(["%Y", "%Y-%m"]))
        if shape < 0.65:
            return instant.strftime("%Y-%m-%dT%H:%M:%S") + rng.choice([".0Z", ".000Z", ".5Z", ".001Z"])
        return instant.strftime("%Y-%m-%dT%H:%M:%SZ")

    def write_bool(self, value: str, *_):
        """true or false, quoted or not."""
        return value == "true" if chance(self.rng, 0.25) else value

    def write_range(self, value: str, *_):
        """The address or a range around it, without bits beyond the prefix."""
        rng = self.rng
        if ":" not in value:
            if chance(rng, 0.3):
                return value
            length = rng.choice([8, 16, 24, 25, 28, 31, 32, 0])
            bits = int.from_bytes(bytes(int(part) for part in value.split(".")), "big")
            bits &= 0xFFFFFFFF << (32 - length) & 0xFFFFFFFF
            return ".".join(str(part) for part in bits.to_bytes(4, "big")) + f"/{length}"
        if chance(rng, 0.15):
            return rng.choice([value, f"{value}/128"])
        return rng.choice(["2001:db8::/32", "2001:DB8:1234:5678::/64", "2001:db8:1234::/48", "fe80::/10", "::/0",
                           "2001:db8:0:0:0:0:0:0/64"])

    # --- Statements ---

    def actions(self, hit: float, only_s3: bool) -> list[str]:
        """Action patterns, one of which covers the request's action with this probability."""
        rng = self.rng
        others = OBJECT_ACTIONS + BUCKET_ACTIONS + ([] if only_s3 else OTHER_ACTIONS)
        chosen = some(rng, others)
        if chance(rng, hit):
            name = self.action.removeprefix("s3:")
            at = rng.randint(1, len(name))
            chosen[0] = rng.choice([self.action, self.action, f"s3:{name[:at]}*", "s3:*", "*",
                                    f"s3:*{name[at:]}*", f"s3:{name[:at - 1]}?{name[at:]}"])
        return [swap_case(rng, action) if chance(rng, 0.12) else action for action in chosen]

    def resources(self, hit: float, variables: bool) -> list[str]:
        """Resource patterns, one of which covers the request's resource with this probability."""
        rng = self.rng
        chosen = []
        for number in range(rng.choices([1, 2, 3], [60, 30, 10])[0]):
            if number == 0 and chance(rng, hit):
                last = rng.choice([self.resource, self.resource, self.resource, f"{self.bucket}/\ue000",
                                   f"{self.bucket}\ue000", "\ue000"])
                if last == self.resource:
                    written = self.as_policy_text(last, variables, chance(rng, 0.6))
                else:
                    written = self.escape(last, variables, True)
            else:
                bucket = rng.choice(BUCKETS)
                last = bucket if chance(rng, 0.3) else f"{bucket}/{rng.choice(KEYS)}"
                written = self.as_policy_text(last, variables, chance(rng, 0.5))
            head = "arn:aws:s3:*:*:" if chance(rng, 0.04) else "arn:aws:s3:::"
            chosen.append(head + written)
        if chance(rng, 0.12 * hit):
            chosen[0] = "*"
        return chosen

    def principals(self) -> object:
        """A value for Principal or NotPrincipal."""
        rng = self.rng
        own = {"user": [self.principal], "session": [self.principal, self.role], "anonymous": [],
               "root": [f"arn:aws:iam::{ACCOUNT}:root"]}[self.kind]
        account = [ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root"]
        others = [f"arn:aws:iam::{ACCOUNT}:user/{name}" for name in USERS]
        others += [f"arn:aws:iam::{ACCOUNT}:role/{name}" for name in ROLES]
        others += [f"arn:aws:sts::{ACCOUNT}:assumed-role/{role.rpartition('/')[2]}/{name}"
                   for role in ROLES for name in SESSIONS]
        others += ["999999999999", "arn:aws:iam::999999999999:root", "arn:aws:iam::999999999999:user/alice"]
        names = some(rng, others)
        if own and chance(rng, 0.65):
            names[0] = rng.choice(own)
        elif chance(rng, 0.4):
            names[0] = rng.choice(account)
        if chance(rng, 0.1):
            names.append(rng.choice(account))
        value: dict = {"AWS": one_or_list(rng, names)}
        if chance(rng, 0.05):
            value.update(rng.choice([{"Service": "cloudtrail.amazonaws.com"}, {"Federated": "accounts.google.com"},
                                     {"CanonicalUser": "79a59df900b949e5" * 4}]))
        return value

    def principal_element(self) -> dict:
        """Principal or NotPrincipal."""
        rng = self.rng
        if chance(rng, 0.14):
            return {"NotPrincipal": self.principals()}
        if chance(rng, 0.75 if self.kind == "anonymous" else 0.32):
            return {"Principal": rng.choice(["*", "*", {"AWS": "*"}, {"AWS": ["*"]}])}
        return {"Principal": self.principals()}

    def statement(self, layer: str, variables: bool, deny: float, hit: float) -> dict:
        """A statement for a document of this layer."""
        rng = self.rng
        made: dict = {"Effect": "Deny" if chance(rng, deny) else "Allow"}
        if layer == "resource":
            made.update(self.principal_element())
        if chance(rng, 0.1):
            made["NotAction"] = one_or_list(rng, self.actions(0.25, layer == "resource"))
        else:
            made["Action"] = one_or_list(rng, self.actions(hit, layer == "resource"))
        if chance(rng, 0.1):
            made["NotResource"] = one_or_list(rng, self.resources(0.2, variables))
        else:
            made["Resource"] = one_or_list(rng, self.resources(hit, variables))
        if chance(rng, 0.7):
            made["Condition"] = self.condition(variables)
        return made

    def document(self, layer: str, deny: float, hit: float, most: int) -> dict:
        """A document for this layer."""
        rng = self.rng
        version = rng.choices(["2012-10-17", "2008-10-17", None], [76, 12, 12])[0]
        statements = [self.statement(layer, version == "2012-10-17", deny, hit) for _ in range(rng.randint(1, most))]
        if layer in ("boundary", "session", "service_account") and chance(rng, 0.8):
            statements[0]["Effect"] = "Allow"
        for number, statement in enumerate(statements):
            if chance(rng, 0.35):
                statement["Sid"] = f"S{number}"
        document: dict = {} if version is None else {"Version": version}
        if layer == "resource" and chance(rng, 0.15):
            document["Id"] = "Policy 1"
        document["Statement"] = statements[0] if len(statements) == 1 and chance(rng, 0.3) else statements
        return document

    def case(self) -> dict:
        """The whole case."""
        rng = self.rng
        alone = self.kind in ("anonymous", "root")

        def maybe(probability: float, layer: str, deny: float, hit: float, most: int) -> dict | None:
            return self.document(layer, deny, hit, most) if chance(rng, probability) else None

        case: dict = {"principal": self.principal}
        if self.role:
            case["role"] = self.role
        identity = [self.document("identity", 0.28, 0.85, 3)
                    for _ in range(rng.choices([0, 1, 2], [60, 30, 10] if alone else [8, 67, 25])[0])]
        groups = []
        if self.kind != "session" and chance(rng, 0.15 if alone else 0.3):
            groups = [self.document("groups", 0.3, 0.8, 2)]
        case["identity"] = identity
        case["groups"] = groups
        case["boundary"] = maybe(0.1 if alone else 0.24, "boundary", 0.2, 0.93, 2)
        session = 0.4 if self.kind in ("session", "root") else 0.15
        case["session"] = [self.document("session", 0.2, 0.93, 2)] if chance(rng, session) else None
        if case["session"] and chance(rng, 0.25):
            case["session"].append(self.document("session", 0.2, 0.85, 2))
        case["service_account"] = maybe(0.35 if self.kind == "root" else 0.16, "service_account", 0.2, 0.93, 2)
        case["resource"] = maybe(0.97 if self.kind == "anonymous" else 0.75 if alone else 0.55, "resource",
                                 0.6 if self.kind == "root" else 0.35, 0.88, 4)
        case["action"] = self.action
        case["target"] = self.target
        case["context"] = self.context
        return case


# --- Malformed documents -----------------------------------------------------------------------------------------


def break_document(rng: random.Random, document: dict, resource_policy: bool) -> str:
    """Make a document malformed, in place, in a way nobody doubts; returns the name of the way."""
    statements = document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]
    statement = rng.choice(statements)

    def set_condition(name: str, key: str, value) -> None:
        statement["Condition"] = {name: {key: value}}

    def move(element: str) -> str:
        return element if element in statement else f"Not{element}"

    def duplicate_sid() -> None:
        statement["Sid"] = "Twice"
        document["Statement"] = [*statements, {**statement}]

    ways = {
        "effect": lambda: statement.update(Effect=rng.choice(["allow", "Permit", "DENY", ""])),
        "missing effect": lambda: statement.pop("Effect"),
        "missing action": lambda: statement.pop(move("Action")),
        "action and not action": lambda: statement.update(Action="s3:GetObject", NotAction="s3:PutObject"),
        "resource and not resource": lambda: statement.update(Resource="*", NotResource="arn:aws:s3:::logs"),
        "unknown operator": lambda: set_condition(
            rng.choice(["StringMatches", "NumericLess", "IPAddresses", "ForEachValue:StringEquals", "NullIfExists",
                        "StringEqualsIfExist"]), "aws:username", "true"),
        "bad range": lambda: set_condition("IpAddress", "aws:SourceIp", rng.choice(
            ["192.0.2.0/33", "300.1.1.1", "192.0.2", "2001:db8::/129", "localhost", "192.0.2.0/x"])),
        "bad number": lambda: set_condition("NumericEquals", "s3:max-keys", rng.choice(
            ["ten", "1,000", "1.2.3", "12 keys"])),
        "bad date": lambda: set_condition("DateLessThan", "aws:CurrentTime", rng.choice(
            ["yesterday", "2024-13-01T00:00:00Z", "2023-02-29", "2024-01-01T25:00:00Z", "01/02/2024"])),
        "bad boolean": lambda: set_condition("Bool", "aws:SecureTransport", rng.choice(["yes", "maybe", "2"])),
        "version": lambda: document.update(Version=rng.choice(["2012-10-18", "2015-01-01", "", "1"])),
        "unknown element": lambda: statement.update({rng.choice(["Conditions", "Actions", "Comment"]): "s3:GetObject"}),
        "unknown policy element": lambda: document.update(Comment="x"),
        "not an arn": lambda: (statement.pop(move("Resource")), statement.update(Resource=rng.choice(
            ["photos/*", "s3:::photos", "/photos", "arn"]))),
        "duplicate sid": duplicate_sid,
        "missing statement": lambda: document.pop("Statement"),
    }
    if resource_policy:
        ways["missing principal"] = lambda: statement.pop(move("Principal"))
    else:
        ways["principal"] = lambda: statement.update(Principal="*")
        ways["missing resource"] = lambda: statement.pop(move("Resource"))
    way = rng.choice(sorted(ways))
    ways[way]()
    return way


class Sample(NamedTuple):
    """A case, what the evaluator found out about it, and how it was made malformed, if so."""

    case: dict
    found: Examination
    broken: str | None
    # How many candidates were left out because their decision hangs on an undocumented point.
    left_out: list[tuple[str, str]]


def candidate(rng: random.Random) -> tuple[dict, str | None]:
    """One case, which may yet hang on an undocumented point."""
    builder = Builder(rng)
    case = builder.case()
    broken = None
    if chance(rng, INVALID_SHARE):
        alone = builder.kind in ("anonymous", "root")
        layers = ("boundary", "session", "service_account", "resource", "identity")
        documents = [(case[layer], layer) for layer in layers
                     if case[layer] and not (alone and layer in ("boundary", "identity"))
                     and not (builder.kind == "anonymous" and layer != "resource")]
        if documents:
            document, layer = rng.choice(documents)
            if isinstance(document, list):
                document = rng.choice(document)
            broken = break_document(rng, document, layer == "resource")
    return case, broken


def sample(seed: int, index: int, undocumented: bool = False) -> Sample:
    """Case number `index` of a seed; with `undocumented`, also when it hangs on an undocumented point."""
    rng = random.Random(f"{seed}:{index}")
    left_out = []
    while True:
        case, broken = candidate(rng)
        found = examine(case)
        if found.hangs_on is None or undocumented:
            return Sample(case, found, broken, left_out)
        left_out.append(found.hangs_on)
