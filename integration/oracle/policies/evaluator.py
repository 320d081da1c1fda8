"""A slow and obvious evaluator of AWS IAM policies for one account, written from AWS's documentation alone.

It shares nothing with the engine. `decide` answers one case. Each rule names in a comment the page of the IAM
User Guide it comes from ("IAM: ..." is the page's file name without `reference_policies_`), or says "project"
where the project has fixed what AWS leaves open.

Where the documentation is silent or contradicts itself, `Evaluation.choose` takes our reading and notes that
the other readings would have differed. `examine` decides such a case under each other reading too, so that a
generator can leave out those whose outcome hangs on it. `POINTS` lists them.
"""

import base64
import binascii
import ipaddress
import json
import operator
import re
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

ACCOUNT = "123456789012"

# Project: what root may do to a bucket's policy whatever that policy says.
ROOT_KEEPS = {"s3:getbucketpolicy", "s3:putbucketpolicy", "s3:deletebucketpolicy"}

# Where the documentation leaves room: our reading, then the others.
POINTS = {
    "for-all-empty-string": "ForAllValues on one empty string: true (a null data set) | the string is compared",
    "for-any-empty-string": "ForAnyValue on one empty string: false (a null data set) | the string is compared",
    "empty-string-among-many": "an empty string among several request values: compared | left out",
    "null-empty-string": "Null on one empty string: the key is null | the key exists",
    "if-exists-empty-string": "...IfExists on one empty string: present | absent",
    "plain-many": "an operator without a set operator on several values: a positive one holds if any value matches, a "
                  "negated one if none does | the quantifiers exchanged | never holds",
    "for-any-if-exists-absent": "ForAnyValue:...IfExists on an absent key: true | false",
    "unresolved-among-many": "an unresolved variable in one of several policy values: only that value matches "
                             "nothing | the condition is false, or true if negated",
    "unresolved-if-exists": "an unresolved variable under ...IfExists with the key present: no match | match",
    "unresolved-not-resource": "an unresolved variable in NotResource: that entry excepts nothing | the statement does "
                               "not apply",
    "variable-empty-string": "a variable whose value is an empty string: replaced by nothing | has no value",
    "variable-many": "a variable whose key has several values: has no value | the first value",
    "default-pattern": "* or ? in a variable's default: text | wildcard",
    "year-or-epoch": "a date of four digits: a year | seconds",
    "date-precision": "a date without time: its first instant | the whole day, month or year",
    "request-value-type": "a request value that is not a number, date or address: matches nothing, so that a "
                          "negated operator holds | the condition is false",
    "ipv6-without-prefix": "an IPv6 address without prefix length: that address | /32",
    "binary-raw": "BinaryEquals on a request value that is the raw bytes: no match | match",
    "arn-too-short": "an ARN operator on fewer than six parts: no match | compared as one string",
    "resource-segments": "a wildcard in the first five parts of a resource: stays in its part | crosses colons",
    "old-version-escape": "${*} and ${?} where the version has no variables: the character is a wildcard | text",
    "ignore-case": "IgnoreCase beyond ASCII: Unicode case folding | ASCII letters only",
    "malformed-not-applicable": "a malformed document that does not apply to the principal: invalid | ignored",
    "root-session-star": "a session policy of root and a bucket policy that grants to *: the session policy "
                         "limits | it does not",
}

VERSIONS = ("2008-10-17", "2012-10-17")
POLICY_ELEMENTS = {"Version", "Id", "Statement"}
STATEMENT_ELEMENTS = {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource",
                      "Condition"}
PRINCIPAL_KINDS = {"AWS", "Federated", "Service", "CanonicalUser"}

COMPARE = {
    "Equals": operator.eq,
    "LessThan": operator.lt,
    "LessThanEquals": operator.le,
    "GreaterThan": operator.gt,
    "GreaterThanEquals": operator.ge,
}

# IAM: elements_condition_operators. Each operator: its family, what is compared, and whether it is negated.
OPERATORS = {
    "StringEquals": ("String", "Equals", False),
    "StringNotEquals": ("String", "Equals", True),
    "StringEqualsIgnoreCase": ("String", "EqualsIgnoreCase", False),
    "StringNotEqualsIgnoreCase": ("String", "EqualsIgnoreCase", True),
    "StringLike": ("String", "Like", False),
    "StringNotLike": ("String", "Like", True),
    "NumericEquals": ("Numeric", "Equals", False),
    "NumericNotEquals": ("Numeric", "Equals", True),
    "NumericLessThan": ("Numeric", "LessThan", False),
    "NumericLessThanEquals": ("Numeric", "LessThanEquals", False),
    "NumericGreaterThan": ("Numeric", "GreaterThan", False),
    "NumericGreaterThanEquals": ("Numeric", "GreaterThanEquals", False),
    "DateEquals": ("Date", "Equals", False),
    "DateNotEquals": ("Date", "Equals", True),
    "DateLessThan": ("Date", "LessThan", False),
    "DateLessThanEquals": ("Date", "LessThanEquals", False),
    "DateGreaterThan": ("Date", "GreaterThan", False),
    "DateGreaterThanEquals": ("Date", "GreaterThanEquals", False),
    "Bool": ("Bool", "Equals", False),
    "BinaryEquals": ("Binary", "Equals", False),
    "IpAddress": ("IpAddress", "Within", False),
    "NotIpAddress": ("IpAddress", "Within", True),
    # "The ArnEquals and ArnLike condition operators behave identically", and so do their negations.
    "ArnEquals": ("Arn", "Like", False),
    "ArnLike": ("Arn", "Like", False),
    "ArnNotEquals": ("Arn", "Like", True),
    "ArnNotLike": ("Arn", "Like", True),
    "Null": ("Null", "Null", False),
}


class Malformed(ValueError):
    """A document that the policy grammar does not allow."""


# --- Text with wildcards and variables ---------------------------------------------------------------------------


class Wild(Enum):
    """The two wildcards of a pattern."""

    STAR = "*"
    ANY = "?"


class Variable(NamedTuple):
    """`${key}` or `${key, 'default'}`."""

    key: str
    default: str | None


ESCAPE = re.compile(r"\$\{([*?$])\}")
VARIABLE = re.compile(r"\$\{([^,}'\s]+)(?:, '([^']*)')?\}")


@lru_cache(maxsize=10_000)
def parse_text(text: str, wildcards: bool, variables: bool, escapes: bool) -> tuple:
    """Split a policy's text into literal strings, wildcards and variables."""
    tokens: list = []
    literal = ""
    at = 0
    while at < len(text):
        if escapes and (found := ESCAPE.match(text, at)):
            # IAM: variables, "Special characters": ${*}, ${?} and ${$} stand for the character itself.
            literal += found[1]
            at = found.end()
        elif variables and text.startswith("${", at):
            # IAM: variables, "Using variables in policies" and "Specifying default values".
            found = VARIABLE.match(text, at)
            if not found:
                raise Malformed(f"not a variable: {text[at:]}")
            tokens += [literal, Variable(found[1], found[2])]
            literal = ""
            at = found.end()
        elif wildcards and text[at] in "*?":
            # IAM: elements_resource, elements_condition_operators: * is any text, ? is one character.
            tokens += [literal, Wild(text[at])]
            literal = ""
            at += 1
        else:
            literal += text[at]
            at += 1
    return tuple(token for token in [*tokens, literal] if token != "")


def parse_escapes_as_text(text: str) -> tuple:
    """The other reading of `${*}` where there are no variables: text, not a wildcard in braces."""
    tokens: list = []
    at = 0
    for found in ESCAPE.finditer(text):
        tokens += [*parse_text(text[at:found.start()], True, False, False), found[0]]
        at = found.end()
    return (*tokens, *parse_text(text[at:], True, False, False))


def glob(tokens, text: str) -> bool:
    """Whether literals and wildcards match the whole text: the set of places where each token may end."""
    if len(tokens) == 1 and isinstance(tokens[0], str):
        return tokens[0] == text
    places = {0}
    for token in tokens:
        if token is Wild.STAR:
            places = set(range(min(places), len(text) + 1))
        elif token is Wild.ANY:
            places = {place + 1 for place in places if place < len(text)}
        else:
            places = {place + len(token) for place in places if text.startswith(token, place)}
        if not places:
            return False
    return len(text) in places


def arn_parts(tokens) -> list[list]:
    """Cut tokens at the first five colons of their literals."""
    parts: list[list] = [[]]
    for token in tokens:
        if isinstance(token, str):
            pieces = token.split(":", 6 - len(parts))
            parts[-1].append(pieces[0])
            parts += [[piece] for piece in pieces[1:]]
        else:
            parts[-1].append(token)
    return parts


# --- Values ------------------------------------------------------------------------------------------------------

NUMBER = re.compile(r"-?\d+(\.\d+)?")
EPOCH = re.compile(r"\d+")
# The W3C profile of ISO 8601: year, month, day, then time with a zone.
DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?(Z|[+-]\d\d:\d\d))?)?)?")
EPOCH_START = datetime(1970, 1, 1, tzinfo=timezone.utc)


@lru_cache(maxsize=10_000)
def parse_number(text: str) -> Decimal | None:
    """IAM: elements_condition_operators: "an integer or decimal value"."""
    return Decimal(text) if NUMBER.fullmatch(text) else None


@lru_cache(maxsize=10_000)
def parse_date(text: str) -> tuple[datetime, str] | None:
    """The instant and its precision ("year", "month", "day" or "time")."""
    # IAM: elements_condition_operators: "one of the W3C implementations of the ISO 8601 date formats or epoch".
    if EPOCH.fullmatch(text) and len(text) != 4:
        return EPOCH_START + timedelta(seconds=int(text)), "time"
    found = DATE.fullmatch(text)
    if not found:
        return None
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    try:
        offset = timedelta()
        if zone and zone != "Z":
            offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6])) * (-1 if zone[0] == "-" else 1)
        instant = datetime(int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0),
                           int(second or 0), int((fraction or "0").ljust(6, "0")), timezone(offset))
    except ValueError:
        return None
    precision = "time" if zone else "day" if day else "month" if month else "year"
    return instant.astimezone(timezone.utc), precision


def parse_four_digits_as_epoch(text: str) -> tuple[datetime, str] | None:
    """The other reading of a date of four digits."""
    if EPOCH.fullmatch(text):
        return EPOCH_START + timedelta(seconds=int(text)), "time"
    return parse_date(text)


def truncate(instant: datetime, precision: str) -> datetime:
    """The beginning of the day, month or year of an instant."""
    if precision == "time":
        return instant
    midnight = instant.replace(hour=0, minute=0, second=0, microsecond=0)
    if precision == "day":
        return midnight
    return midnight.replace(day=1) if precision == "month" else midnight.replace(day=1, month=1)


@lru_cache(maxsize=10_000)
def parse_network(text: str):
    """IAM: elements_condition_operators: CIDR format; an address without a prefix length is that address."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


@lru_cache(maxsize=10_000)
def parse_address(text: str):
    """A request's IP address."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def parse_bool(text: str) -> bool | None:
    """IAM: elements_condition_operators: "true" or "false"."""
    return {"true": True, "false": False}.get(text.lower())


@lru_cache(maxsize=10_000)
def parse_binary(text: str) -> bytes | None:
    """IAM: elements_condition_operators: base-64."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def as_list(value) -> list:
    """IAM: grammar: brackets are optional around one value."""
    return value if isinstance(value, list) else [value]


def as_text(value) -> str:
    """IAM: grammar: "Quotation marks are optional for numeric and Boolean values"."""
    return value if isinstance(value, str) else json.dumps(value)


def split_operator(name: str) -> tuple[str, str, bool]:
    """An operator's set operator ("" if none), its plain name, and whether it ends in IfExists."""
    qualifier, _, rest = name.rpartition(":")
    # IAM: elements_condition_operators: "You can add IfExists to the end of any operator name except Null".
    if_exists = rest.endswith("IfExists")
    return qualifier, rest.removesuffix("IfExists"), if_exists


# --- Documents ---------------------------------------------------------------------------------------------------


def require(true, message: str) -> None:
    """Refuse a document unless this is true."""
    if not true:
        raise Malformed(message)


def check_document(document, resource_policy: bool) -> None:
    """Raise `Malformed` unless the document follows the grammar for its kind of policy."""
    require(isinstance(document, dict), "not an object")
    # IAM: access-analyzer-reference-policy-checks, "Invalid policy element".
    require(document.keys() <= POLICY_ELEMENTS, "unknown policy element")
    # IAM: elements_version. Without it, the version is 2008-10-17.
    require("Version" not in document or document["Version"] in VERSIONS, "unknown Version")
    require(isinstance(document.get("Id", ""), str), "Id is not a string")
    statements = as_list(document.get("Statement", []))
    # IAM: elements_statement: required.
    require(len(statements) > 0, "no statement")
    for statement in statements:
        check_statement(statement, resource_policy, document.get("Version") == "2012-10-17")
    sids = [statement["Sid"] for statement in statements if "Sid" in statement]
    # IAM: elements_sid: "the Sid value must be unique within a JSON policy".
    require(len(sids) == len(set(sids)), "two statements with one Sid")


def check_statement(statement, resource_policy: bool, variables: bool) -> None:
    """Raise `Malformed` unless the statement follows the grammar."""
    require(isinstance(statement, dict), "a statement is not an object")
    require(statement.keys() <= STATEMENT_ELEMENTS, "unknown element")
    # IAM: elements_effect: "Valid values for Effect are Allow and Deny"; required.
    require(statement.get("Effect") in ("Allow", "Deny"), "Effect")
    require(isinstance(statement.get("Sid", ""), str), "Sid is not a string")
    # IAM: elements_action, elements_resource: one of the pair, never both.
    require(("Action" in statement) != ("NotAction" in statement), "Action or NotAction")
    require(("Resource" in statement) != ("NotResource" in statement), "Resource or NotResource")
    for action in as_list(statement.get("Action", statement.get("NotAction"))):
        # IAM: grammar, action_string: a service, a colon and a name.
        require(isinstance(action, str) and (action == "*" or ":" in action), "not an action")
    for resource in as_list(statement.get("Resource", statement.get("NotResource"))):
        # IAM: grammar, resource_string; policy checks, "Missing ARN field": arn and six fields.
        require(isinstance(resource, str), "a resource is not a string")
        require(resource == "*" or (resource.startswith("arn:") and resource.count(":") >= 5), "not an ARN")
        parse_text(resource, True, variables, variables)
    principals = [element for element in ("Principal", "NotPrincipal") if element in statement]
    # IAM: elements_principal, elements_notprincipal: required in a resource policy, unknown in any other.
    require(len(principals) == (1 if resource_policy else 0), "Principal or NotPrincipal")
    for element in principals:
        check_principal(statement[element])
    condition = statement.get("Condition", {})
    require(isinstance(condition, dict), "Condition is not an object")
    for name, keys in condition.items():
        check_operator(name, keys, variables)


def check_principal(value) -> None:
    """Raise `Malformed` unless this is what Principal may hold."""
    # IAM: elements_principal: "*", or a map of the four kinds.
    if value == "*":
        return
    require(isinstance(value, dict) and value and value.keys() <= PRINCIPAL_KINDS, "Principal")
    for kind, names in value.items():
        for name in as_list(names):
            require(isinstance(name, str), "a principal is not a string")
            if kind == "AWS" and name != "*":
                # IAM: elements_principal: "You cannot use a wildcard to match part of a principal name or ARN".
                require(re.fullmatch(r"\d{12}", name) or name.startswith("arn:"), "not a principal")
                require("*" not in name and "?" not in name, "a wildcard in a principal")


def check_operator(name: str, keys, variables: bool) -> None:
    """Raise `Malformed` unless the operator exists and its values are of its type."""
    qualifier, plain, if_exists = split_operator(name)
    require(qualifier in ("", "ForAllValues", "ForAnyValue"), "unknown set operator")
    require(plain in OPERATORS, "unknown operator")
    family, kind, _ = OPERATORS[plain]
    # IAM: elements_condition_operators: IfExists goes with every operator but Null.
    require(family != "Null" or not (if_exists or qualifier), "Null takes no suffix and no set operator")
    require(isinstance(keys, dict), "an operator's keys are not an object")
    for values in keys.values():
        for value in as_list(values):
            require(isinstance(value, (str, int, float)), "a condition value is not a string, number or Boolean")
            text = as_text(value)
            if family in ("String", "Arn"):
                parse_text(text, kind == "Like", variables, variables)
            else:
                parsers = {"Numeric": parse_number, "Date": parse_date, "Bool": parse_bool, "Null": parse_bool,
                           "Binary": parse_binary, "IpAddress": parse_network}
                require(parsers[family](text) is not None, f"not a value for {plain}: {text}")


# --- Evaluation --------------------------------------------------------------------------------------------------


class Document(NamedTuple):
    """One document of a case: the policy's name ("identity[0]"), its layer ("identity") and its text."""

    name: str
    layer: str
    text: dict


class Atom(NamedTuple):
    """One key under one operator of one statement's condition."""

    document: str
    statement: int
    operator: str
    key: str


class Match(NamedTuple):
    """A statement that applies: its effect, and for a resource policy how it names the principal."""

    effect: str
    layer: str
    named: frozenset


def documents_of(case: dict) -> list[Document]:
    """Every document of a case."""
    found = []
    for layer in ("identity", "groups", "session"):
        for number, text in enumerate(case.get(layer) or []):
            found.append(Document(f"{layer}[{number}]", layer, text))
    for layer in ("boundary", "service_account", "resource"):
        if case.get(layer) is not None:
            found.append(Document(layer, layer, case[layer]))
    return found


class Evaluation:
    """The decision of one case, under our readings but for those in `others`, with the atom `flipped` reversed."""

    def __init__(self, case: dict, others: frozenset = frozenset(), flipped: Atom | None = None):
        self.case = case
        self.others = others
        self.flipped = flipped
        self.touched: set[tuple[str, str]] = set()
        self.atoms: dict[Atom, bool] = {}
        self.matches: list[Match] = []
        # For the coverage table only: which parts of the language this evaluation went through.
        self.features: set[str] = set()
        # IAM: elements_condition: "Context key names are not case-sensitive", tag keys among them.
        # Project: an empty list of values is an absent key.
        self.context = {key.lower(): values for key, values in (case.get("context") or {}).items() if values}

    def choose(self, point: str, ours, **others):
        """Our reading of a point, or another one if this evaluation is asked to take it."""
        assert point in POINTS, point
        chosen = ours
        for name, other in others.items():
            if other != ours:
                self.touched.add((point, name))
                if (point, name) in self.others:
                    chosen = other
        return chosen

    def decide(self, check: bool = True) -> str:
        """The decision; `check=False` when the documents are known to be well formed."""
        layers = self.layers_that_apply()
        documents = documents_of(self.case)
        if check:
            for document in documents:
                try:
                    check_document(document.text, document.layer == "resource")
                except Malformed:
                    if document.layer in layers or self.choose("malformed-not-applicable", True, ignored=False):
                        return "invalid"
        for document in documents:
            if document.layer in layers:
                self.read_document(document)
        return self.combine()

    def layers_that_apply(self) -> set[str]:
        """Which kinds of policies apply to this kind of principal."""
        if self.case["principal"] == "anonymous":
            # Project; IAM: elements_principal, "All principals": anonymous users have a resource policy only.
            return {"resource"}
        if self.case["principal"] == "root":
            # IAM: access_policies, "Policies and the root user": no identity policies, no boundary.
            return {"resource", "session", "service_account"}
        return {"identity", "groups", "session", "boundary", "service_account", "resource"}

    def combine(self) -> str:
        """IAM: evaluation-logic, "Determining whether a request is allowed or denied within an account"."""
        is_root = self.case["principal"] == "root"
        denies = [match for match in self.matches if match.effect == "Deny"]
        if is_root and self.case["action"].lower() in ROOT_KEEPS:
            # Project: root keeps the power over a bucket's policy.
            denies = [match for match in denies if match.layer != "resource"]
        if denies:
            # IAM: evaluation-logic: an explicit deny in any policy overrides any allow.
            return "explicit_deny"

        def allowed(*layers: str) -> bool:
            return any(match.effect == "Allow" and match.layer in layers for match in self.matches)

        def within(layer: str) -> bool:
            # IAM: evaluation-logic: a limiting policy that is there must allow, one that is not limits nothing.
            return not self.case.get(layer) or allowed(layer)

        named = frozenset().union(*(match.named for match in self.matches if match.effect == "Allow"))
        limited = within("boundary") and within("session")
        if self.case["principal"] == "anonymous":
            # Project: anonymous is decided by the resource policy alone.
            granted, of_account = "everyone" in named, True
        elif is_root:
            # IAM: evaluation-logic: root has full access. Project: its session and service account limit it.
            granted = self.choose("root-session-star", within("session"),
                                  unlimited=within("session") or "everyone" in named)
            of_account = within("service_account")
        else:
            granted = (
                # IAM: evaluation-logic: identity policies, limited by boundary and session policy.
                (allowed("identity", "groups") and limited)
                # IAM: elements_principal, "All principals": no other permission is needed; IAM: evaluation-logic:
                # neither boundary nor session policy limits what is granted to "*".
                or "everyone" in named
                # IAM: evaluation-logic, "IAM role session": not limited by boundary or session policy.
                or "session" in named
                # IAM: evaluation-logic, "IAM role": limited by boundary and session policy.
                or ("role" in named and limited)
                # IAM: evaluation-logic, "IAM user": not limited by identity policies or boundary; "federated user
                # principal": the session policy limits what was granted to the user.
                or ("user" in named and within("session"))
                # IAM: elements_principal, "AWS account principals": naming the account only delegates to it.
            )
            # Project: a service account's policy limits whatever granted.
            of_account = within("service_account")
        return "allow" if granted and of_account else "implicit_deny"

    # --- Statements ---

    def read_document(self, document: Document) -> None:
        """Note which statements of a document apply to the request."""
        # IAM: elements_version, variables: without 2012-10-17, `${...}` is literal text.
        variables = document.text.get("Version") == "2012-10-17"
        for number, statement in enumerate(as_list(document.text["Statement"])):
            named = self.names_principal(statement) if document.layer == "resource" else frozenset({"attached"})
            if (
                named
                and self.action_matches(statement)
                and self.resource_matches(statement, variables)
                and self.condition_holds(document.name, number, statement.get("Condition", {}), variables)
            ):
                self.matches.append(Match(statement["Effect"], document.layer, named))

    def names_principal(self, statement: dict) -> frozenset:
        """How a resource policy's statement names the principal; empty if it does not apply to it."""
        if "Principal" in statement:
            return frozenset(self.ways_to_name(statement["Principal"]))
        self.features.add("NotPrincipal")
        # IAM: elements_notprincipal: "will always deny any IAM principal that has a permissions boundary".
        bounded = self.case.get("boundary") is not None and self.case["principal"] not in ("anonymous", "root")
        if bounded and statement["Effect"] == "Deny":
            return frozenset({"everyone"})
        # IAM: elements_notprincipal: everyone except those named. Project: an account entry excepts root only.
        excepted = self.ways_to_name(statement["NotPrincipal"])
        if self.case["principal"] != "root":
            excepted.discard("account")
        return frozenset() if excepted else frozenset({"everyone"})

    def ways_to_name(self, element) -> set[str]:
        """The ways in which Principal's value covers the principal of the request."""
        principal = self.case["principal"]
        # IAM: elements_principal: "*" and {"AWS": "*"} are everyone, anonymous users too.
        if element == "*":
            return {"everyone"}
        ways = set()
        # IAM: elements_principal: Service, Federated and CanonicalUser name none of the principals of a case.
        for name in as_list(element.get("AWS", [])):
            if name == "*":
                ways.add("everyone")
            elif name in (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root"):
                # IAM: elements_principal: both name the account, not only its root user.
                if principal != "anonymous":
                    ways.add("account")
            elif name == principal:
                # IAM: elements_principal: a user or a session by its ARN, case sensitive.
                ways.add("session" if ":assumed-role/" in name else "user")
            elif name == self.case.get("role"):
                # IAM: elements_principal: a role by its ARN stands for its sessions.
                ways.add("role")
        return ways

    def action_matches(self, statement: dict) -> bool:
        """Whether Action or NotAction covers the request's action."""
        # IAM: elements_action: prefix and name are case insensitive, with wildcards; elements_notaction.
        listed = any(glob(parse_text(pattern.lower(), True, False, False), self.case["action"].lower())
                     for pattern in as_list(statement.get("Action", statement.get("NotAction"))))
        if "Action" in statement:
            return listed
        self.features.add("NotAction")
        return not listed

    def resource_matches(self, statement: dict, variables: bool) -> bool:
        """Whether Resource or NotResource covers the request's resource."""
        if "Resource" in statement:
            # IAM: variables: an entry with an unresolved variable matches no resource.
            return any(self.one_resource_matches(entry, variables) for entry in as_list(statement["Resource"]))
        self.features.add("NotResource")
        results = [self.one_resource_matches(entry, variables) for entry in as_list(statement["NotResource"])]
        # IAM: elements_notresource: everything but what is listed.
        applies = not any(results)
        if None in results:
            # IAM: variables: "will not match any resource", said of NotResource too.
            applies = self.choose("unresolved-not-resource", applies, nothing=False)
        return applies

    def one_resource_matches(self, entry: str, variables: bool) -> bool | None:
        """Whether one resource pattern matches; None if it has a variable without a value."""
        # IAM: elements_resource: "*" is every resource.
        if entry == "*":
            return True
        # IAM: variables, "Resource element": variables only after the fifth colon.
        *head, last = entry.split(":", 5)
        tokens = self.resolve(self.parse(last, True, variables))
        if tokens is None:
            return None
        *target_head, target_last = self.case["target"].split(":", 5)
        # IAM: elements_resource: wildcards within a part; "/" is no delimiter, so * crosses it. Case matters.
        heads = [parse_text(part, True, False, False) for part in head]
        matches = (len(target_head) == 5 and glob(tokens, target_last)
                   and all(glob(part, target) for part, target in zip(heads, target_head)))
        if any(Wild.STAR in part for part in heads):
            whole = [token for part in heads for token in (*part, ":")] + list(tokens)
            matches = self.choose("resource-segments", matches, crosses=glob(whole, self.case["target"]))
        return matches

    # --- Variables ---

    def parse(self, text: str, wildcards: bool, variables: bool) -> tuple:
        """A policy's text as tokens, by the version of its document."""
        if "${" in text:
            if not variables:
                self.features.add("variable left as text")
            elif ESCAPE.search(text):
                self.features.add("escaped character")
        tokens = parse_text(text, wildcards, variables, variables)
        if wildcards and not variables and ESCAPE.search(text):
            # IAM: elements_version: "treated as literal strings".
            tokens = self.choose("old-version-escape", tokens, text=parse_escapes_as_text(text))
        return tokens

    def resolve(self, tokens: tuple) -> list | None:
        """Tokens with every variable replaced by text; None if one has no value."""
        resolved = []
        for token in tokens:
            if isinstance(token, Variable):
                # IAM: variables: key names are case insensitive; a key not in the request has no value.
                values = self.context.get(token.key.lower(), [])
                if len(values) == 1:
                    text = values[0]
                    if text == "":
                        text = self.choose("variable-empty-string", "", unresolved=None)
                elif len(values) > 1:
                    # IAM: variables: "You can't use a multivalued condition key as a variable".
                    text = self.choose("variable-many", None, first=values[0])
                else:
                    text = None
                self.features.add("variable with a value" if text is not None else "variable with a default"
                                  if token.default is not None else "variable without a value")
                if text is None and token.default is not None:
                    # IAM: variables, "Specifying default values".
                    text = token.default
                    if "*" in text or "?" in text:
                        wild = parse_text(text, True, False, False)
                        chosen = self.choose("default-pattern", (text,), wildcard=wild)
                        resolved += chosen
                        continue
                if text is None:
                    return None
                # Project: substituted text is never a pattern.
                resolved.append(text)
            else:
                resolved.append(token)
        return resolved

    # --- Conditions ---

    def condition_holds(self, document: str, statement: int, condition: dict, variables: bool) -> bool:
        """IAM: condition-logic-multiple-context-keys-or-values: operators and keys are combined with AND."""
        holds = True
        for name, keys in condition.items():
            for key, values in keys.items():
                atom = Atom(document, statement, name, key)
                result = self.atom_holds(name, key, as_list(values), variables)
                self.atoms[atom] = result
                holds = holds and (result != (atom == self.flipped))
        return holds

    def atom_holds(self, name: str, key: str, policy_values: list, variables: bool) -> bool:
        """Whether one operator holds for one key."""
        qualifier, plain, if_exists = split_operator(name)
        family, kind, negated = OPERATORS[plain]
        values = self.context.get(key.lower(), [])
        one_empty_string = values == [""]

        if family == "Null":
            # IAM: elements_condition_operators: true: "the key doesn't exist - it is null"; elements_condition: an
            # empty string is null.
            is_null = not values
            if one_empty_string:
                is_null = self.choose("null-empty-string", True, exists=False)
            return any(parse_bool(as_text(value)) == is_null for value in policy_values)

        if if_exists and not values:
            # IAM: elements_condition_operators: "If the key is not present, evaluate the condition as true".
            return self.choose("for-any-if-exists-absent", True, false=qualifier != "ForAnyValue")

        patterns = self.policy_patterns(family, kind, policy_values, variables)

        def holds_for(value: str) -> bool:
            return self.value_holds(family, kind, negated, if_exists, patterns, value)

        if qualifier == "ForAllValues":
            # IAM: condition-single-vs-multi-valued-context-keys: every value; true without values.
            result = self.over_all(all, values, holds_for)
            if one_empty_string:
                result = self.choose("for-all-empty-string", True, compared=result)
        elif qualifier == "ForAnyValue":
            # IAM: condition-single-vs-multi-valued-context-keys: at least one value; false without values, which for
            # a negated operator too is the rule for the set operator and not that for an absent key.
            result = self.over_all(any, values, holds_for)
            if one_empty_string:
                result = self.choose("for-any-empty-string", False, compared=result)
        elif not values:
            # IAM: elements_condition_operators: an absent key does not match: false, or true if negated.
            result = negated
        elif len(values) == 1:
            result = holds_for(values[0])
        else:
            ours, other = (all, any) if negated else (any, all)
            result = self.choose("plain-many", self.over_all(ours, values, holds_for),
                                 exchanged=self.over_all(other, values, holds_for), never=False)
        if if_exists and one_empty_string:
            result = self.choose("if-exists-empty-string", result, absent=True)
        return result

    def over_all(self, quantifier, values: list[str], holds_for) -> bool:
        """`any` or `all` over the values of a request."""
        result = quantifier([holds_for(value) for value in values])
        if len(values) > 1 and "" in values:
            rest = quantifier([holds_for(value) for value in values if value])
            result = self.choose("empty-string-among-many", result, left_out=rest)
        return result

    def policy_patterns(self, family: str, kind: str, policy_values: list, variables: bool) -> list:
        """The policy's values, for strings and ARNs as tokens with variables replaced, or None if unresolved."""
        if family not in ("String", "Arn"):
            # IAM: variables: other operators take no variables.
            return [as_text(value) for value in policy_values]
        # IAM: elements_condition_operators: wildcards with Like and ARN operators only.
        return [self.resolve(self.parse(as_text(value), kind == "Like", variables)) for value in policy_values]

    def value_holds(self, family, kind, negated, if_exists, patterns, value: str) -> bool:
        """Whether an operator holds for one value of the request."""
        # IAM: condition-logic-multiple-context-keys-or-values: the policy's values are OR, for a negated operator NOR.
        results = [False if pattern is None else self.compare(family, kind, pattern, value) for pattern in patterns]
        if None in results:
            # The request's value is not of the operator's type.
            return self.choose("request-value-type", negated, false=False)
        holds = any(results) != negated
        if None in patterns:
            # IAM: variables, "Policy variables with no value": no match, and a match for inverted operators.
            if len(patterns) > 1:
                holds = self.choose("unresolved-among-many", holds, whole=negated)
            if if_exists:
                holds = self.choose("unresolved-if-exists", holds, match=True)
        return holds

    def compare(self, family: str, kind: str, pattern, value: str) -> bool | None:
        """Whether one policy value matches one request value; None if the request's is of another type."""
        # Each comparison is of IAM: elements_condition_operators.
        if family == "String":
            if kind == "Like":
                return glob(pattern, value)
            text = "".join(pattern)
            if kind == "Equals":
                return text == value
            return self.choose("ignore-case", text.casefold() == value.casefold(),
                               ascii=ascii_lower(text) == ascii_lower(value))
        if family == "Arn":
            return self.compare_arn(pattern, value)
        if family == "Numeric":
            number = parse_number(value)
            return None if number is None else COMPARE[kind](number, parse_number(pattern))
        if family == "Date":
            return self.compare_date(kind, pattern, value)
        if family == "Bool":
            flag = parse_bool(value)
            return None if flag is None else flag == parse_bool(pattern)
        if family == "Binary":
            # "byte for byte against a base-64 encoded representation"; the page's table shows the request's value
            # in base-64 too.
            wanted = parse_binary(pattern)
            return self.choose("binary-raw", parse_binary(value) == wanted,
                               raw=parse_binary(value) == wanted or value.encode() == wanted)
        return self.compare_address(pattern, value)

    def compare_arn(self, pattern: list, value: str) -> bool:
        """Each of the six parts by itself, with wildcards, case sensitive."""
        parts = arn_parts(pattern)
        value_parts = value.split(":", 5)
        if len(parts) < 6 or len(value_parts) < 6:
            return self.choose("arn-too-short", False, string=glob(pattern, value))
        return all(glob(part, text) for part, text in zip(parts, value_parts))

    def compare_date(self, kind: str, pattern: str, value: str) -> bool | None:
        """Instants, whatever the notation."""

        def instants(parser) -> bool | None:
            read = parser(value)
            if read is None:
                return None
            limit, precision = parser(pattern)
            ours = COMPARE[kind](read[0], limit)
            return self.choose("date-precision", ours, whole=COMPARE[kind](truncate(read[0], precision), limit))

        result = instants(parse_date)
        if any(EPOCH.fullmatch(text) and len(text) == 4 for text in (pattern, value)):
            result = self.choose("year-or-epoch", result, epoch=instants(parse_four_digits_as_epoch))
        return result

    def compare_address(self, pattern: str, value: str) -> bool | None:
        """An address within a range of its own family."""
        address = parse_address(value)
        if address is None:
            return None
        network = parse_network(pattern)
        inside = address.version == network.version and address in network
        if network.version == 6 and "/" not in pattern:
            wide = ipaddress.ip_network(f"{pattern}/32", strict=False)
            inside = self.choose("ipv6-without-prefix", inside, wide=address.version == 6 and address in wide)
        return inside


def ascii_lower(text: str) -> str:
    """Lower case for ASCII letters only."""
    return "".join(chr(ord(char) + 32) if "A" <= char <= "Z" else char for char in text)


class Examination(NamedTuple):
    """What `examine` finds out about a case."""

    decision: str
    # The reading the decision hangs on, as (point, other reading), or None.
    hangs_on: tuple[str, str] | None
    # Condition atoms of statements that apply but for their condition, and whether they held.
    atoms: dict[Atom, bool]
    # Those atoms without which the decision would be another one.
    turns_on: list[Atom]
    matches: list[Match]
    features: set[str]

    def deny_and_allow(self) -> bool:
        """Whether a Deny and an Allow both apply."""
        return {match.effect for match in self.matches} == {"Allow", "Deny"}


def examine(case: dict) -> Examination:
    """The decision and what it depends on."""
    first = Evaluation(case)
    decision = first.decide()
    well_formed = decision != "invalid"
    hangs_on = None
    for reading in sorted(first.touched):
        if Evaluation(case, frozenset({reading})).decide(not well_formed) != decision:
            hangs_on = reading
            break
    turns_on = [atom for atom in first.atoms if Evaluation(case, flipped=atom).decide(False) != decision]
    return Examination(decision, hangs_on, first.atoms, turns_on, first.matches, first.features)


def decide(case: dict) -> str:
    """"allow", "explicit_deny", "implicit_deny", or "invalid" when a document is malformed."""
    return Evaluation(case).decide()
