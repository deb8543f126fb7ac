# Everything of AWS's provider that is about KMS and that the broker has, for scripts/terraform.sh.

terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

variable "endpoint" { type = string }
variable "secret_key" { type = string }
variable "description" { default = "first" }
variable "enabled" { default = true }

provider "aws" {
  region                      = "eu-central-1"
  access_key                  = "AKIATERRAFORM0000000"
  secret_key                  = var.secret_key
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true
  endpoints { kms = var.endpoint }
}

locals {
  account = "arn:aws:iam::111122223333"
  usages = {
    RSA_2048      = "SIGN_VERIFY"
    RSA_3072      = "ENCRYPT_DECRYPT"
    ECC_NIST_P256 = "SIGN_VERIFY"
    ECC_NIST_P384 = "KEY_AGREEMENT"
    HMAC_256      = "GENERATE_VERIFY_MAC"
  }
}

data "aws_iam_policy_document" "attested" {
  statement {
    sid       = "Admin"
    actions   = ["kms:*"]
    resources = ["*"]
    principals {
      type        = "AWS"
      identifiers = ["${local.account}:root"]
    }
  }
  statement {
    sid       = "App"
    actions   = ["kms:Decrypt"]
    resources = ["*"]
    principals {
      type        = "AWS"
      identifiers = ["${local.account}:user/app"]
    }
    condition {
      test     = "StringEqualsIgnoreCase"
      variable = "kms:RecipientAttestation:ImageSha384"
      values   = [sha512("not a measurement")]
    }
  }
}

resource "aws_kms_key" "main" {
  description             = var.description
  deletion_window_in_days = 7
  enable_key_rotation     = true
  rotation_period_in_days = var.description == "first" ? 180 : 200
  is_enabled              = var.enabled
  policy                  = data.aws_iam_policy_document.attested.json
  tags                    = { app = "x", description = var.description }
}

resource "aws_kms_key" "kind" {
  for_each                 = local.usages
  customer_master_key_spec = each.key
  key_usage                = each.value
  deletion_window_in_days  = 7
}

resource "aws_kms_external_key" "imported" {
  key_material_base64     = base64encode("32 bytes of key material, a test")
  deletion_window_in_days = 7
}

resource "aws_kms_alias" "main" {
  name          = "alias/terraform"
  target_key_id = aws_kms_key.main.key_id
}

resource "aws_kms_alias" "generated" {
  name_prefix   = "alias/terraform-"
  target_key_id = aws_kms_key.main.arn
}

resource "aws_kms_grant" "main" {
  name              = "terraform"
  key_id            = aws_kms_key.main.key_id
  grantee_principal = "${local.account}:user/app"
  operations        = ["Encrypt", "GenerateDataKey"]
  constraints {
    encryption_context_equals = { order = "7" }
  }
}

resource "aws_kms_ciphertext" "word" {
  key_id    = aws_kms_key.main.key_id
  plaintext = "word"
  context   = { order = "7" }
}

data "aws_kms_key" "by_alias" {
  key_id = aws_kms_alias.main.name
}

data "aws_kms_alias" "main" {
  name = aws_kms_alias.main.name
}

data "aws_kms_public_key" "rsa" {
  key_id = aws_kms_key.kind["RSA_2048"].key_id
}

data "aws_kms_secrets" "word" {
  count = var.enabled ? 1 : 0
  secret {
    name    = "word"
    payload = aws_kms_ciphertext.word.ciphertext_blob
    context = { order = "7" }
  }
}

output "key" {
  value = aws_kms_key.main.key_id
}

output "word" {
  value = join("", [for secret in data.aws_kms_secrets.word : nonsensitive(secret.plaintext["word"])])
}
