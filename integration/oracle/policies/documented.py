"""Cases that AWS's documentation decides, by page: what `compare.py --selftest` holds the evaluator to.

"project" marks what the project has fixed where AWS is silent. Names of pages are those of the IAM User Guide
without `reference_policies_`.
"""

ALICE = "arn:aws:iam::123456789012:user/alice"
ROLE = "arn:aws:iam::123456789012:role/path/reader"
SESSION = "arn:aws:sts::123456789012:assumed-role/reader/dora"
ROOT = "arn:aws:iam::123456789012:root"
OBJECT = "arn:aws:s3:::photos/home/alice/a.txt"
ALL = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
NONE = {"Effect": "Allow", "Action": "iam:*", "Resource": "*"}
DENY = {"Effect": "Deny", "Action": "s3:*", "Resource": "*"}

ALLOW, DENIED, NOT_ALLOWED, INVALID = "allow", "explicit_deny", "implicit_deny", "invalid"

Row = tuple[str, str, dict, str]


def doc(*statements: dict, version: str | None = "2012-10-17", **more) -> dict:
    """A policy document."""
    return {**({"Version": version} if version else {}), **more, "Statement": list(statements)}


def case(principal: str = ALICE, action: str = "s3:GetObject", target: str = OBJECT, **more) -> dict:
    """A case; every document that is not given is absent."""
    made = {"principal": principal, "identity": [], "groups": [], "boundary": None, "session": None,
            "service_account": None, "resource": None, "action": action, "target": target, "context": {}}
    if principal == SESSION:
        made["role"] = ROLE
    return {**made, **more}


def grant(principal, **more) -> dict:
    """A statement of a bucket policy that allows everything to a principal."""
    return {**ALL, "Principal": principal, **more}


def layers() -> list[Row]:
    """How policies of different kinds combine."""
    named_user, named_role, named_session = ({"AWS": name} for name in (ALICE, ROLE, SESSION))
    identity, nothing, deny = [doc(ALL)], doc(NONE), doc(DENY)
    page = "evaluation-logic_policy-eval-denyallow"
    return [
        (page, "no policy", case(), NOT_ALLOWED),
        (page, "identity allows", case(identity=identity), ALLOW),
        (page, "group allows", case(groups=identity), ALLOW),
        (page, "deny wins over allow", case(identity=[doc(ALL, DENY)]), DENIED),
        (page, "deny in a group", case(identity=identity, groups=[deny]), DENIED),
        (page, "deny in the boundary", case(identity=identity, boundary=deny), DENIED),
        (page, "deny in the session policy", case(SESSION, identity=identity, session=[deny]), DENIED),
        (page, "deny without an allow", case(identity=[deny]), DENIED),
        (page, "boundary does not grant", case(boundary=doc(ALL)), NOT_ALLOWED),
        (page, "boundary limits identity", case(identity=identity, boundary=nothing), NOT_ALLOWED),
        (page, "boundary and identity agree", case(identity=identity, boundary=doc(ALL)), ALLOW),
        (page, "session policy does not grant", case(SESSION, session=identity), NOT_ALLOWED),
        (page, "session policy limits identity", case(SESSION, identity=identity, session=[nothing]), NOT_ALLOWED),
        (page, "one of two session policies allows",
         case(SESSION, identity=identity, session=[nothing, doc(ALL)]), ALLOW),
        (page, "bucket policy alone, naming the user", case(resource=doc(grant(named_user))), ALLOW),
        (page, "named user is beyond the boundary", case(boundary=nothing, resource=doc(grant(named_user))), ALLOW),
        (page, "named role is limited by the boundary",
         case(SESSION, boundary=nothing, resource=doc(grant(named_role))), NOT_ALLOWED),
        (page, "named role is limited by the session policy",
         case(SESSION, session=[nothing], resource=doc(grant(named_role))), NOT_ALLOWED),
        (page, "named role adds to identity", case(SESSION, resource=doc(grant(named_role))), ALLOW),
        (page, "named session is not limited",
         case(SESSION, boundary=nothing, session=[nothing], resource=doc(grant(named_session))), ALLOW),
        ("elements_principal", "* is not limited by boundary and session policy",
         case(SESSION, boundary=nothing, session=[nothing], resource=doc(grant("*"))), ALLOW),
        ("elements_principal", "a deny in the session policy holds against *",
         case(SESSION, session=[deny], resource=doc(grant("*"))), DENIED),
        ("access_policies", "session policy limits a grant to the federating user",
         case(session=[nothing], resource=doc(grant(named_user))), NOT_ALLOWED),
        ("project", "service account limits identity", case(identity=identity, service_account=nothing), NOT_ALLOWED),
        ("project", "service account limits a grant to *",
         case(service_account=nothing, resource=doc(grant("*"))), NOT_ALLOWED),
        ("project", "anonymous has the bucket policy only", case("anonymous", identity=identity), NOT_ALLOWED),
        ("elements_principal", "anonymous under *", case("anonymous", resource=doc(grant("*"))), ALLOW),
        ("elements_principal", "anonymous under AWS *", case("anonymous", resource=doc(grant({"AWS": "*"}))), ALLOW),
        ("elements_principal", "anonymous is not of the account",
         case("anonymous", resource=doc(grant({"AWS": ROOT}))), NOT_ALLOWED),
        ("access_policies", "root needs no policy", case("root"), ALLOW),
        ("access_policies", "root has no boundary", case("root", boundary=deny, identity=[deny]), ALLOW),
        ("project", "deny in the bucket policy binds root",
         case("root", resource=doc({**DENY, "Principal": "*"})), DENIED),
        ("project", "but not from its policy", case("root", "s3:PutBucketPolicy", "arn:aws:s3:::photos",
                                                   resource=doc({**DENY, "Principal": "*"})), ALLOW),
        ("project", "root's session policy limits it", case("root", session=[nothing]), NOT_ALLOWED),
    ]


def principals() -> list[Row]:
    """Principal and NotPrincipal."""
    page = "elements_principal"
    identity = [doc(ALL)]

    def denied(**element) -> dict:
        return doc({**DENY, **element})

    return [
        (page, "naming the account delegates, it does not grant",
         case(resource=doc(grant({"AWS": ROOT}))), NOT_ALLOWED),
        (page, "twelve digits are the account", case(resource=doc(grant({"AWS": "123456789012"}))), NOT_ALLOWED),
        (page, "a deny that names the account reaches its users",
         case(identity=identity, resource=denied(Principal={"AWS": "123456789012"})), DENIED),
        (page, "another account", case(identity=identity, resource=denied(Principal={"AWS": "999999999999"})), ALLOW),
        (page, "another user", case(resource=doc(grant({"AWS": ALICE.replace("alice", "bob")}))), NOT_ALLOWED),
        (page, "names are case sensitive",
         case(resource=doc(grant({"AWS": ALICE.replace("alice", "Alice")}))), NOT_ALLOWED),
        (page, "one of several", case(resource=doc(grant({"AWS": ["999999999999", ALICE]}))), ALLOW),
        (page, "a service is not a user",
         case(resource=doc(grant({"Service": "logging.s3.amazonaws.com"}))), NOT_ALLOWED),
        (page, "a role's deny reaches its session",
         case(SESSION, identity=identity, resource=denied(Principal={"AWS": ROLE})), DENIED),
        ("elements_notprincipal", "all but the user are denied",
         case(identity=identity, resource=denied(NotPrincipal={"AWS": [ALICE, ROOT]})), ALLOW),
        ("elements_notprincipal", "the user is not excepted",
         case(identity=identity, resource=denied(NotPrincipal={"AWS": [SESSION, ROOT]})), DENIED),
        ("elements_notprincipal", "session, role and account excepted",
         case(SESSION, identity=identity, resource=denied(NotPrincipal={"AWS": [SESSION, ROLE, ROOT]})), ALLOW),
        ("project", "an account entry excepts root only",
         case(identity=identity, resource=denied(NotPrincipal={"AWS": ROOT})), DENIED),
        ("project", "and excepts root", case("root", resource=denied(NotPrincipal={"AWS": ROOT})), ALLOW),
        ("elements_notprincipal", "Allow with NotPrincipal grants to anonymous",
         case("anonymous", resource=doc({**ALL, "NotPrincipal": {"AWS": ALICE}})), ALLOW),
    ]


def matching() -> list[Row]:
    """Actions, resources and variables."""

    def allows(what: str, page: str, expected: str, version: str | None = "2012-10-17", **elements) -> Row:
        request = {name: elements.pop(name) for name in ("action", "target", "context") if name in elements}
        statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "*", **elements}
        if "NotAction" in elements:
            del statement["Action"]
        if "NotResource" in elements:
            del statement["Resource"]
        return page, what, case(identity=[doc(statement, version=version)], **request), expected

    home = "arn:aws:s3:::photos/home/${aws:username}/*"
    alice = {"aws:username": ["alice"]}
    team = "arn:aws:s3:::photos/${aws:PrincipalTag/team, 'company-wide'}/*"

    def photo(key: str) -> str:
        return f"arn:aws:s3:::photos/{key}"

    return [
        allows("any case", "elements_action", ALLOW, Action="S3:getobject"),
        allows("a wildcard", "elements_action", ALLOW, Action="s3:*Object*"),
        allows("another action", "elements_action", NOT_ALLOWED, Action=["s3:PutObject", "s3:GetObjectAcl"]),
        allows("all but DeleteBucket", "elements_notaction", ALLOW, NotAction="s3:DeleteBucket",
               Resource="arn:aws:s3:::*"),
        allows("the excepted action", "elements_notaction", NOT_ALLOWED, NotAction="s3:Get*"),
        allows("* crosses /", "elements_resource", ALLOW, Resource=photo("*/test/*"),
               target=photo("1/2/test/3/object.jpg")),
        allows("* may be empty", "elements_resource", ALLOW, Resource=photo("*/test/*"), target=photo("1/2/test/")),
        allows("/ is no delimiter", "elements_resource", ALLOW, Resource=photo("*/test/*"),
               target=photo("/test/object.jpg")),
        allows("- is not /", "elements_resource", NOT_ALLOWED, Resource=photo("*/test/*"),
               target=photo("1-test/object.jpg")),
        allows("nothing before /test", "elements_resource", NOT_ALLOWED, Resource=photo("*/test/*"),
               target=photo("test/object.jpg")),
        allows("? is one character", "elements_resource", NOT_ALLOWED, Resource=photo("home/alice/??.txt")),
        allows("objects are not the bucket", "elements_resource", NOT_ALLOWED, Resource=photo("*"),
               target="arn:aws:s3:::photos", action="s3:ListBucket"),
        allows("all but HRBucket/Payroll", "elements_notresource", NOT_ALLOWED,
               NotResource=["arn:aws:s3:::HRBucket/Payroll", "arn:aws:s3:::HRBucket/Payroll/*"],
               target="arn:aws:s3:::HRBucket/Payroll/x"),
        allows("others", "elements_notresource", ALLOW, NotResource="arn:aws:s3:::HRBucket/Payroll"),
        allows("a variable", "variables", ALLOW, Resource=home, context=alice),
        allows("key names have no case", "variables", ALLOW, Resource=home.replace("username", "UserName"),
               context=alice),
        allows("another user", "variables", NOT_ALLOWED, Resource=home, context={"aws:username": ["bob"]}),
        allows("a variable without a value", "variables", NOT_ALLOWED, Resource=home),
        allows("text in 2008-10-17", "elements_version", NOT_ALLOWED, "2008-10-17", Resource=home, context=alice),
        allows("text without a version", "elements_version", NOT_ALLOWED, None, Resource=home, context=alice),
        allows("the text itself", "elements_version", ALLOW, None, Resource=home, context=alice,
               target=photo("home/${aws:username}/x")),
        allows("the tag, not the default", "variables", ALLOW, Resource=team, target=photo("yellow/x"),
               context={"aws:PrincipalTag/team": ["yellow"]}),
        allows("the default", "variables", ALLOW, Resource=team, target=photo("company-wide/x")),
        allows("${*} is an asterisk", "variables", NOT_ALLOWED, Resource=photo("a${*}"), target=photo("ab")),
        allows("${*} is an asterisk", "variables", ALLOW, Resource=photo("a${*}"), target=photo("a*")),
        allows("${?} is a question mark", "variables", NOT_ALLOWED, Resource=photo("a${?}"), target=photo("ab")),
        allows("${$} is a dollar sign", "variables", ALLOW, Resource=photo("${$}{aws:username}"), context=alice,
               target=photo("${aws:username}")),
        allows("substituted text is no pattern", "project", NOT_ALLOWED, Resource=home,
               context={"aws:username": ["al*"]}),
    ]


def conditions() -> list[Row]:
    """Condition operators."""
    operators, sets = "elements_condition_operators", "condition-single-vs-multi-valued-context-keys"
    logic, none = "condition-logic-multiple-context-keys-or-values", "variables"
    examples = "condition_examples-multi-valued-context-keys"

    def row(page: str, name: str, key: str, policy, request: list | None, holds: bool, **more) -> Row:
        statement = {**ALL, "Condition": {name: {key: policy}}}
        context = {**({} if request is None else {key: request}), **more}
        what = f"{name} {key} {policy}: {request}"
        return page, what, case(identity=[doc(statement)], context=context), ALLOW if holds else NOT_ALLOWED

    tags, tag, owner = "aws:TagKeys", "aws:PrincipalTag/team", "${aws:PrincipalTag/owner}"
    ip, now, arn = "aws:SourceIp", "aws:CurrentTime", "aws:PrincipalArn"
    return [
        row(operators, "StringEquals", tag, "red", ["red"], True),
        row(operators, "StringEquals", tag, "red", ["Red"], False),
        row(operators, "StringEquals", tag, "red", None, False),
        row(operators, "StringEquals", tag, "r*", ["red"], False),
        row(operators, "StringNotEquals", tag, "red", None, True),
        row(operators, "StringNotEquals", tag, ["red", "blue"], ["blue"], False),
        row(logic, "StringNotEquals", tag, ["red", "blue"], ["green"], True),
        row(operators, "StringEqualsIgnoreCase", tag, "PREprod", ["PreProd"], True),
        row(operators, "StringLike", "s3:prefix", ["", "home/"], [""], True),
        row(operators, "StringLike", tag, "r?d*", ["ready"], False),
        row(operators, "StringNotLike", tag, "r*", ["red"], False),
        row(operators, "StringLikeIfExists", tag, ["t1.*", "t2.*"], None, True),
        row(operators, "StringLikeIfExists", tag, ["t1.*", "t2.*"], ["m2.micro"], False),
        row(operators, "StringNotEqualsIfExists", tag, "red", None, True),
        row("project", "StringEquals", tag, "red", [], False),
        row(none, "StringEquals", tag, owner, ["red"], False),
        row(none, "StringNotEquals", tag, owner, ["red"], True),
        row(none, "StringEquals", tag, owner, ["red"], True, **{"aws:PrincipalTag/owner": ["red"]}),
        row("elements_condition", "StringEquals", "aws:PrincipalTag/Team", "red", None, True, **{tag: ["red"]}),
        row(operators, "NumericLessThanEquals", "s3:max-keys", "10", ["10"], True),
        row(operators, "NumericLessThan", "s3:max-keys", "10", ["9"], True),
        row(operators, "NumericEquals", "s3:max-keys", 10, ["10"], True),
        row(operators, "NumericNotEquals", "s3:max-keys", "10", None, True),
        row(operators, "NumericGreaterThan", "s3:max-keys", "9", ["10"], True),
        row(operators, "DateGreaterThan", now, "2020-01-01T00:00:01Z", ["2020-01-01T00:00:02Z"], True),
        row(operators, "DateEquals", now, "2020-01-01T01:00:00+01:00", ["2020-01-01T00:00:00Z"], True),
        row(operators, "DateLessThan", now, "1577836801", ["2020-01-01T00:00:00Z"], True),
        row(operators, "DateLessThan", "aws:EpochTime", "2020-01-01T00:00:00Z", ["1577836800"], False),
        row(operators, "DateGreaterThanEquals", now, "2020-01-01", ["2020-01-01T00:00:00Z"], True),
        row(operators, "Bool", "aws:SecureTransport", "false", ["false"], True),
        row(operators, "Bool", "aws:SecureTransport", False, ["true"], False),
        row(operators, "Bool", "aws:SecureTransport", "false", None, False),
        row(operators, "BoolIfExists", "aws:MultiFactorAuthPresent", "false", None, True),
        row(operators, "BinaryEquals", tag, "QmluYXJ5VmFsdWVJbkJhc2U2NA==", ["QmluYXJ5VmFsdWVJbkJhc2U2NA=="], True),
        row(operators, "BinaryEquals", tag, "QmluYXJ5VmFsdWVJbkJhc2U2NA==", ["ASIAIOSFODNN7EXAMPLE"], False),
        row(operators, "IpAddress", ip, "203.0.113.0/24", ["203.0.113.1"], True),
        row(operators, "IpAddress", ip, "203.0.113.0/24", ["198.51.100.1"], False),
        row(operators, "IpAddress", ip, ["203.0.113.0/24", "2001:DB8:1234:5678::/64"], ["2001:db8:1234:5678::9"], True),
        row(operators, "IpAddress", ip, "203.0.113.5", ["203.0.113.5"], True),
        row(operators, "NotIpAddress", ip, "203.0.113.0/24", ["203.0.113.1"], False),
        row(operators, "NotIpAddress", ip, "203.0.113.0/24", None, True),
        row(operators, "ArnLike", arn, "arn:aws:iam::*:user/*", [ALICE], True),
        row(operators, "ArnEquals", arn, "arn:aws:iam::123456789012:user/al*", [ALICE], True),
        row(operators, "ArnLike", arn, "arn:aws:someservice:*:111122223333:finance/*",
            ["arn:aws:someservice:us-east-2:999999999999:store/abc:111122223333:finance/document.txt"], False),
        row(operators, "StringLike", arn, "arn:aws:someservice:*:111122223333:finance/*",
            ["arn:aws:someservice:us-east-2:999999999999:store/abc:111122223333:finance/document.txt"], True),
        row(operators, "ArnNotEquals", arn, ALICE, [ALICE], False),
        row(operators, "ArnNotLike", arn, ALICE, None, True),
        row(operators, "Null", "aws:TokenIssueTime", "true", None, True),
        row(operators, "Null", "aws:TokenIssueTime", "false", None, False),
        row(operators, "Null", "aws:TokenIssueTime", "false", ["2020-01-01T00:00:00Z"], True),
        row(sets, "ForAllValues:StringEquals", tags, ["env", "team"], ["team", "env"], True),
        row(sets, "ForAllValues:StringEquals", tags, ["env", "team"], ["team", "owner"], False),
        row(sets, "ForAllValues:StringEquals", tags, ["env", "team"], None, True),
        row(sets, "ForAnyValue:StringEquals", tags, ["env", "team"], ["team", "owner"], True),
        row(sets, "ForAnyValue:StringEquals", tags, ["env", "team"], ["owner"], False),
        row(sets, "ForAnyValue:StringEquals", tags, ["env", "team"], None, False),
        row(examples, "ForAllValues:StringNotLike", tags, "key1*", ["key1:hr", "key1:personnel"], False),
        row(examples, "ForAllValues:StringNotLike", tags, "key1*", ["key2:audit"], True),
        row(examples, "ForAllValues:StringNotLike", tags, "key1*", None, True),
        row(sets, "ForAllValues:StringNotEquals", tags, ["env", "team"], ["owner", "env"], False),
        row(sets, "ForAnyValue:StringNotEquals", tags, ["env", "team"], ["owner", "env"], True),
        row(sets, "ForAnyValue:StringNotEquals", tags, ["env", "team"], ["env"], False),
        row(sets, "ForAnyValue:StringNotEquals", tags, ["env", "team"], None, False),
    ]


def malformed() -> list[Row]:
    """Documents that are refused."""
    checks = "access-analyzer-reference-policy-checks"

    def broken(what: str, resource_policy: bool = False, version: str = "2012-10-17", **elements) -> Row:
        statement = {name: value for name, value in {**ALL, **elements}.items() if value is not None}
        document = doc(statement, version=version)
        made = case(resource=document) if resource_policy else case(identity=[document])
        return checks, what, made, INVALID

    return [
        broken("effect", Effect="allow"),
        broken("no effect", Effect=None),
        broken("no action", Action=None),
        broken("both actions", NotAction="s3:PutObject"),
        broken("both resources", NotResource="*"),
        broken("a principal in an identity policy", Principal="*"),
        broken("no principal in a bucket policy", True),
        broken("unknown operator", Condition={"StringMatches": {"aws:username": "a"}}),
        broken("Null with IfExists", Condition={"NullIfExists": {"aws:username": "true"}}),
        broken("range", Condition={"IpAddress": {"aws:SourceIp": "192.0.2.0/33"}}),
        broken("number", Condition={"NumericEquals": {"s3:max-keys": "ten"}}),
        broken("date", Condition={"DateLessThan": {"aws:CurrentTime": "2024-13-01T00:00:00Z"}}),
        broken("boolean", Condition={"Bool": {"aws:SecureTransport": "yes"}}),
        broken("version", version="2015-01-01"),
        broken("unknown element", Conditions={}),
        broken("not an ARN", Resource="photos/*"),
        broken("wildcard in a principal", True, Principal={"AWS": "arn:aws:iam::123456789012:user/*"}),
        (checks, "two statements with one Sid",
         case(identity=[doc({**ALL, "Sid": "A"}, {**DENY, "Sid": "A"})]), INVALID),
        (checks, "no statement", case(identity=[{"Version": "2012-10-17"}]), INVALID),
    ]


ROWS: list[Row] = [*layers(), *principals(), *matching(), *conditions(), *malformed()]
