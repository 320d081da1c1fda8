//! The Key Management Service in the Service Authorization Reference.
//!
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_awskeymanagementservice.html>

use super::{Action, On, Type};

/// Every action of KMS.
#[rustfmt::skip]
pub(super) const KMS: &[Action] = &[
    Action { name: "kms:CancelKeyDeletion", on: &[On::Key], keys: &["kms:CallerAccount", "kms:ViaService"] },
    Action { name: "kms:ConnectCustomKeyStore", on: &[On::Service], keys: &["kms:CallerAccount"] },
    Action { name: "kms:CreateAlias", on: &[On::Other, On::Key], keys: &["kms:CallerAccount", "kms:ViaService"] },
    Action { name: "kms:CreateCustomKeyStore", on: &[On::Service], keys: &["kms:CallerAccount"] },
    Action {
        name: "kms:CreateGrant",
        on: &[On::Key],
        keys: &[
            "kms:CallerAccount", "kms:EncryptionContext:", "kms:EncryptionContextKeys",
            "kms:GrantConstraintSourceArn", "kms:GrantConstraintType", "kms:GranteePrincipal",
            "kms:GranteeServicePrincipal", "kms:GrantIsForAWSResource", "kms:GrantOperations",
            "kms:RetiringPrincipal", "kms:RetiringServicePrincipal", "kms:ViaService",
        ],
    },
    Action {
        name: "kms:CreateKey",
        on: &[On::Service],
        keys: &[
            "aws:RequestTag/", "aws:ResourceTag/", "aws:TagKeys",
            "kms:BypassPolicyLockoutSafetyCheck", "kms:CallerAccount", "kms:KeyOrigin",
            "kms:KeySpec", "kms:KeyUsage", "kms:MultiRegion", "kms:MultiRegionKeyType",
            "kms:ViaService",
        ],
    },
    Action {
        name: "kms:Decrypt",
        on: &[On::Key],
        keys: &[
            "kms:CallerAccount", "kms:EncryptionAlgorithm", "kms:EncryptionContext:",
            "kms:EncryptionContextKeys", "kms:RecipientAttestation:", "kms:RequestAlias",
            "kms:ViaService",
        ],
    },
    Action { name: "kms:DeleteAlias", on: &[On::Other, On::Key], keys: &["kms:CallerAccount", "kms:ViaService"] },
    Action { name: "kms:DeleteCustomKeyStore", on: &[On::Service], keys: &["kms:CallerAccount"] },
    Action { name: "kms:DeleteImportedKeyMaterial", on: &[On::Key], keys: &["kms:CallerAccount", "kms:ViaService"] },
    Action { name: "kms:DeriveSharedSecret", on: &[On::Key], keys: &["kms:CallerAccount", "kms:KeyAgreementAlgorithm", "kms:RecipientAttestation:", "kms:RequestAlias", "kms:ViaService"] },
    Action { name: "kms:DescribeCustomKeyStores", on: &[On::Service], keys: &["kms:CallerAccount"] },
    Action { name: "kms:DescribeKey", on: &[On::Key], keys: &["kms:CallerAccount", "kms:RequestAlias", "kms:ViaService"] },
    Action { name: "kms:DisableKey", on: &[On::Key], keys: &["kms:CallerAccount", "kms:TrailingDaysWithoutKeyUsage", "kms:ViaService"] },
    Action { name: "kms:DisableKeyRotation", on: &[On::Key], keys: &["kms:CallerAccount", "kms:ViaService"] },
    Action { name: "kms:DisconnectCustomKeyStore", on: &[On::Service], keys: &["kms:CallerAccount"] },
    Action { name: "kms:EnableKey", on: &[On::Key], keys: &["kms:CallerAccount", "kms:ViaService"] },
    Action { name: "kms:EnableKeyRotation", on: &[On::Key], keys: &["kms:CallerAccount", "kms:RotationPeriodInDays", "kms:ViaService"] },
    Action {
        name: "kms:Encrypt",
        on: &[On::Key],
        keys: &[
            "kms:CallerAccount", "kms:EncryptionAlgorithm", "kms:EncryptionContext:",
            "kms:EncryptionContextKeys", "kms:RequestAlias", "kms:ViaService",
        ],
    },
    Action {
        name: "kms:GenerateDataKey",
        on: &[On::Key],
        keys: &[
            "kms:CallerAccount", "kms:EncryptionAlgorithm", "kms:EncryptionContext:",
            "kms:EncryptionContextKeys", "kms:RecipientAttestation:", "kms:RequestAlias",
            "kms:ViaService",
        ],
    },
    Action {
        name: "kms:GenerateDataKeyPair",
        on: &[On::Key],
        keys: &[
            "kms:CallerAccount", "kms:DataKeyPairSpec", "kms:EncryptionAlgorithm",
            "kms:EncryptionContext:", "kms:EncryptionContextKeys", "kms:RecipientAttestation:",
            "kms:RequestAlias", "kms:ViaService",
        ],
    },
    Action {
        name: "kms:GenerateDataKeyPairWithoutPlaintext",
        on: &[On::Key],
        keys: &[
            "kms:CallerAccount", "kms:DataKeyPairSpec", "kms:EncryptionAlgorithm",
            "kms:EncryptionContext:", "kms:EncryptionContextKeys", "kms:RequestAlias",
            "kms:ViaService",
        ],
    },
    Action {
        name: "kms:GenerateDataKeyWithoutPlaintext",
        on: &[On::Key],
        keys: &[
            "kms:CallerAccount", "kms:EncryptionAlgorithm", "kms:EncryptionContext:",
            "kms:EncryptionContextKeys", "kms:RequestAlias", "kms:ViaService",
        ],
    },
    Action { name: "kms:GenerateMac", on: &[On::Key], keys: &["kms:CallerAccount", "kms:MacAlgorithm", "kms:RequestAlias", "kms:ViaService"] },
    Action { name: "kms:GenerateRandom", on: &[On::Service], keys: &["kms:RecipientAttestation:"] },
    Action { name: "kms:GetKeyLastUsage", on: &[On::Key], keys: &["kms:CallerAccount", "kms:ViaService"] },
    Action { name: "kms:GetKeyPolicy", on: &[On::Key], keys: &["kms:CallerAccount", "kms:ViaService"] },
    Action { name: "kms:GetKeyRotationStatus", on: &[On::Key], keys: &["kms:CallerAccount", "kms:ViaService"] },
    Action { name: "kms:GetParametersForImport", on: &[On::Key], keys: &["kms:CallerAccount", "kms:ViaService", "kms:WrappingAlgorithm", "kms:WrappingKeySpec"] },
    Action { name: "kms:GetPublicKey", on: &[On::Key], keys: &["kms:CallerAccount", "kms:RequestAlias", "kms:ViaService"] },
    Action { name: "kms:ImportKeyMaterial", on: &[On::Key], keys: &["kms:CallerAccount", "kms:ExpirationModel", "kms:ValidTo", "kms:ViaService"] },
    Action { name: "kms:ListAliases", on: &[On::Service], keys: &[] },
    Action { name: "kms:ListGrants", on: &[On::Key], keys: &["kms:CallerAccount", "kms:GrantIsForAWSResource", "kms:ViaService"] },
    Action { name: "kms:ListKeyPolicies", on: &[On::Key], keys: &["kms:CallerAccount", "kms:ViaService"] },
    Action { name: "kms:ListKeyRotations", on: &[On::Key], keys: &["kms:CallerAccount", "kms:ViaService"] },
    Action { name: "kms:ListKeys", on: &[On::Service], keys: &[] },
    Action { name: "kms:ListResourceTags", on: &[On::Key], keys: &["kms:CallerAccount", "kms:ViaService"] },
    Action { name: "kms:ListRetirableGrants", on: &[On::Service], keys: &[] },
    Action { name: "kms:PutKeyPolicy", on: &[On::Key], keys: &["kms:BypassPolicyLockoutSafetyCheck", "kms:CallerAccount", "kms:ViaService"] },
    Action {
        name: "kms:ReEncryptFrom",
        on: &[On::Key],
        keys: &[
            "kms:CallerAccount", "kms:EncryptionAlgorithm", "kms:EncryptionContext:",
            "kms:EncryptionContextKeys", "kms:ReEncryptOnSameKey", "kms:RequestAlias",
            "kms:ViaService",
        ],
    },
    Action {
        name: "kms:ReEncryptTo",
        on: &[On::Key],
        keys: &[
            "kms:CallerAccount", "kms:EncryptionAlgorithm", "kms:EncryptionContext:",
            "kms:EncryptionContextKeys", "kms:ReEncryptOnSameKey", "kms:RequestAlias",
            "kms:ViaService",
        ],
    },
    Action { name: "kms:ReplicateKey", on: &[On::Key], keys: &["kms:CallerAccount", "kms:ReplicaRegion", "kms:ViaService"] },
    Action { name: "kms:RetireGrant", on: &[On::Key], keys: &["kms:CallerAccount", "kms:EncryptionContext:", "kms:EncryptionContextKeys", "kms:GrantConstraintType", "kms:ViaService"] },
    Action { name: "kms:RevokeGrant", on: &[On::Key], keys: &["kms:CallerAccount", "kms:GrantIsForAWSResource", "kms:ViaService"] },
    Action { name: "kms:RotateKeyOnDemand", on: &[On::Key], keys: &["kms:CallerAccount", "kms:ViaService"] },
    Action { name: "kms:ScheduleKeyDeletion", on: &[On::Key], keys: &["kms:CallerAccount", "kms:ScheduleKeyDeletionPendingWindowInDays", "kms:TrailingDaysWithoutKeyUsage", "kms:ViaService"] },
    Action { name: "kms:Sign", on: &[On::Key], keys: &["kms:CallerAccount", "kms:MessageType", "kms:RequestAlias", "kms:SigningAlgorithm", "kms:ViaService"] },
    Action { name: "kms:SynchronizeMultiRegionKey", on: &[On::Key], keys: &[] },
    Action { name: "kms:TagResource", on: &[On::Key], keys: &["aws:RequestTag/", "aws:TagKeys", "kms:CallerAccount", "kms:ViaService"] },
    Action { name: "kms:UntagResource", on: &[On::Key], keys: &["aws:TagKeys", "kms:CallerAccount", "kms:ViaService"] },
    Action { name: "kms:UpdateAlias", on: &[On::Other, On::Key], keys: &["kms:CallerAccount", "kms:ViaService"] },
    Action { name: "kms:UpdateCustomKeyStore", on: &[On::Service], keys: &["kms:CallerAccount"] },
    Action { name: "kms:UpdateKeyDescription", on: &[On::Key], keys: &["kms:CallerAccount", "kms:ViaService"] },
    Action { name: "kms:UpdatePrimaryRegion", on: &[On::Key], keys: &["kms:CallerAccount", "kms:PrimaryRegion", "kms:ViaService"] },
    Action { name: "kms:Verify", on: &[On::Key], keys: &["kms:CallerAccount", "kms:MessageType", "kms:RequestAlias", "kms:SigningAlgorithm", "kms:ViaService"] },
    Action { name: "kms:VerifyMac", on: &[On::Key], keys: &["kms:CallerAccount", "kms:MacAlgorithm", "kms:RequestAlias", "kms:ViaService"] },
];

/// Keys that a resource supplies to every action of KMS asked on it.
#[rustfmt::skip]
pub(super) const KMS_RESOURCES: &[(On, &[&str])] = &[
    (On::Key, &["aws:ResourceTag/", "kms:KeyOrigin", "kms:KeySpec", "kms:KeyUsage", "kms:MultiRegion", "kms:MultiRegionKeyType", "kms:ResourceAliases"]),
];

/// Every condition key of KMS.
#[rustfmt::skip]
pub(super) const KMS_KEYS: &[(&str, Type)] = &[
    ("kms:BypassPolicyLockoutSafetyCheck", Type::Bool),
    ("kms:CallerAccount", Type::String),
    ("kms:CustomerMasterKeySpec", Type::String),
    ("kms:CustomerMasterKeyUsage", Type::String),
    ("kms:DataKeyPairSpec", Type::String),
    ("kms:EncryptionAlgorithm", Type::String),
    ("kms:EncryptionContext:", Type::String),
    ("kms:EncryptionContextKeys", Type::ArrayOfString),
    ("kms:ExpirationModel", Type::String),
    ("kms:GrantConstraintSourceArn", Type::Arn),
    ("kms:GrantConstraintType", Type::String),
    ("kms:GranteePrincipal", Type::String),
    ("kms:GranteeServicePrincipal", Type::String),
    ("kms:GrantIsForAWSResource", Type::Bool),
    ("kms:GrantOperations", Type::ArrayOfString),
    ("kms:KeyAgreementAlgorithm", Type::String),
    ("kms:KeyOrigin", Type::String),
    ("kms:KeySpec", Type::String),
    ("kms:KeyUsage", Type::String),
    ("kms:MacAlgorithm", Type::String),
    ("kms:MessageType", Type::String),
    ("kms:MultiRegion", Type::Bool),
    ("kms:MultiRegionKeyType", Type::String),
    ("kms:PrimaryRegion", Type::String),
    ("kms:RecipientAttestation:", Type::String),
    ("kms:ReEncryptOnSameKey", Type::Bool),
    ("kms:ReplicaRegion", Type::String),
    ("kms:RequestAlias", Type::String),
    ("kms:ResourceAliases", Type::ArrayOfString),
    ("kms:RetiringPrincipal", Type::String),
    ("kms:RetiringServicePrincipal", Type::String),
    ("kms:RotationPeriodInDays", Type::Numeric),
    ("kms:ScheduleKeyDeletionPendingWindowInDays", Type::Numeric),
    ("kms:SigningAlgorithm", Type::String),
    ("kms:TrailingDaysWithoutKeyUsage", Type::Numeric),
    ("kms:ValidTo", Type::Date),
    ("kms:ViaService", Type::String),
    ("kms:WrappingAlgorithm", Type::String),
    ("kms:WrappingKeySpec", Type::String),
];
