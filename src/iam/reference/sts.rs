//! The Security Token Service in the Service Authorization Reference.
//!
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecuritytokenservice.html>

use super::{Action, On, Type};

/// Every action of STS. Claims of a web identity are named by their issuer, as in
/// `accounts.google.com:aud`: `sts:AssumeRoleWithWebIdentity` supplies them, and no list can have them.
#[rustfmt::skip]
pub(super) const STS: &[Action] = &[
    Action {
        name: "sts:AssumeRole",
        on: &[On::Role],
        keys: &[
            "aws:RequestTag/", "aws:TagKeys", "iam:ResourceTag/", "saml:namequalifier", "saml:sub",
            "saml:sub_type", "sts:ExternalId", "sts:RoleSessionName", "sts:SourceIdentity",
            "sts:TransitiveTagKeys",
        ],
    },
    Action {
        name: "sts:AssumeRoleWithSAML",
        on: &[On::Role],
        keys: &[
            "aws:RequestTag/", "aws:TagKeys", "saml:aud", "saml:cn", "saml:commonName", "saml:doc",
            "saml:eduorghomepageuri", "saml:eduorgidentityauthnpolicyuri", "saml:eduorglegalname",
            "saml:eduorgsuperioruri", "saml:eduorgwhitepagesuri", "saml:edupersonaffiliation",
            "saml:edupersonassurance", "saml:edupersonentitlement", "saml:edupersonnickname",
            "saml:edupersonorgdn", "saml:edupersonorgunitdn", "saml:edupersonprimaryaffiliation",
            "saml:edupersonprimaryorgunitdn", "saml:edupersonprincipalname",
            "saml:edupersonscopedaffiliation", "saml:edupersontargetedid", "saml:givenName",
            "saml:iss", "saml:mail", "saml:name", "saml:namequalifier", "saml:organizationStatus",
            "saml:primaryGroupSID", "saml:sub", "saml:sub_type", "saml:surname", "saml:uid",
            "saml:x500UniqueIdentifier", "sts:RoleSessionName", "sts:SourceIdentity",
            "sts:TransitiveTagKeys",
        ],
    },
    Action {
        name: "sts:AssumeRoleWithWebIdentity",
        on: &[On::Role],
        keys: &[
            "aws:RequestTag/", "aws:TagKeys", "sts:RoleAuthorizedByIdp", "sts:RoleSessionName",
            "sts:SourceIdentity", "sts:TransitiveTagKeys",
        ],
    },
    Action { name: "sts:AssumeRoot", on: &[On::Other], keys: &["sts:TaskPolicyArn"] },
    Action { name: "sts:DecodeAuthorizationMessage", on: &[On::Service], keys: &[] },
    Action { name: "sts:GetAccessKeyInfo", on: &[On::Service], keys: &[] },
    Action { name: "sts:GetCallerIdentity", on: &[On::Service], keys: &[] },
    Action { name: "sts:GetDelegatedAccessToken", on: &[On::Service], keys: &[] },
    Action { name: "sts:GetFederationToken", on: &[On::Other], keys: &["aws:RequestTag/", "aws:TagKeys"] },
    Action { name: "sts:GetServiceBearerToken", on: &[On::Service], keys: &["sts:AWSServiceName", "sts:DurationSeconds"] },
    Action { name: "sts:GetSessionToken", on: &[On::Service], keys: &[] },
    Action { name: "sts:GetWebIdentityToken", on: &[On::Service], keys: &["aws:RequestTag/", "aws:TagKeys", "sts:DurationSeconds", "sts:IdentityTokenAudience", "sts:SigningAlgorithm"] },
    Action { name: "sts:SetContext", on: &[On::Other, On::Role], keys: &["sts:RequestContext/", "sts:RequestContextProviders"] },
    Action { name: "sts:SetSourceIdentity", on: &[On::Role], keys: &["sts:SourceIdentity"] },
    Action { name: "sts:TagGetWebIdentityToken", on: &[On::Service], keys: &["aws:RequestTag/", "aws:TagKeys"] },
    Action { name: "sts:TagSession", on: &[On::Role], keys: &["aws:RequestTag/", "aws:TagKeys", "saml:aud", "sts:TransitiveTagKeys"] },
];

/// Keys that a resource supplies to every action of STS asked on it.
#[rustfmt::skip]
pub(super) const STS_RESOURCES: &[(On, &[&str])] = &[
    (On::Role, &["aws:ResourceTag/", "iam:ResourceTag/"]),
];

/// Every condition key of STS.
#[rustfmt::skip]
pub(super) const STS_KEYS: &[(&str, Type)] = &[
    ("sts:AWSServiceName", Type::String),
    ("sts:DurationSeconds", Type::Numeric),
    ("sts:ExternalId", Type::String),
    ("sts:IdentityTokenAudience", Type::ArrayOfString),
    ("sts:RequestContext/", Type::String),
    ("sts:RequestContextProviders", Type::ArrayOfArn),
    ("sts:RoleAuthorizedByIdp", Type::Bool),
    ("sts:RoleSessionName", Type::String),
    ("sts:SigningAlgorithm", Type::String),
    ("sts:SourceIdentity", Type::String),
    ("sts:TaskPolicyArn", Type::Arn),
    ("sts:TransitiveTagKeys", Type::ArrayOfString),
];
