#!/usr/bin/env bash
# Terraform and its AWS provider, unmodified, with a key broker of this toolkit: everything of the provider that is about
# KMS is made, changed, adopted and destroyed, and no plan after it has a change left. Needs `terraform` on the PATH; the
# provider comes from where Terraform's own configuration says (`TF_CLI_CONFIG_FILE`), its registry if nowhere.
set -euo pipefail
umask 077

readonly repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly directory=$(mktemp -d)
broker=

finish() {
  [[ -z $broker ]] || { kill "$broker" && wait "$broker" || true; }
  rm -rf "$directory"
}
trap finish EXIT

main() {
  command -v terraform >/dev/null || { echo 'terraform is not on the PATH' >&2; exit 69; }
  start_broker
  cp "$repository/scripts/terraform/main.tf" .
  terraform init >init.log || { cat init.log >&2; exit 69; }
  applied 'made'
  applied 'changed' -var description=second
  adopt
  applied 'adopted'
  applied 'disabled' -var enabled=false
  quietly destroy -auto-approve -var enabled=false
  echo 'destroyed'
  terraform version | sed -n '1p;/provider/p'
}

start_broker() {
  cd "$directory"
  TF_VAR_secret_key=$(head -c 30 /dev/urandom | base64)
  head -c 24 /dev/urandom | base64 >passphrase
  cat >principals.json <<END
{"version": 1, "principals": [
  {"arn": "arn:aws:iam::111122223333:root", "policies": [],
   "accessKeys": [{"accessKeyId": "AKIATERRAFORM0000000", "secretAccessKey": "$TF_VAR_secret_key"}]},
  {"arn": "arn:aws:iam::111122223333:user/app", "policies": [], "accessKeys": []}]}
END
  node "$repository/bundle/cli/main.js" kms serve --credentials principals.json --passphrase-file passphrase \
    --store store --region eu-central-1 --account 111122223333 --port 0 >broker.json &
  broker=$!
  TF_VAR_endpoint=
  : >>broker.json
  for _ in {1..100}; do
    TF_VAR_endpoint=$(sed -n 's/.*"Endpoint": "\(.*\)".*/\1/p' broker.json)
    [[ -z $TF_VAR_endpoint ]] || break
    sleep 0.1
  done
  [[ -n $TF_VAR_endpoint ]] || { echo 'the broker does not answer' >&2; exit 1; }
  export TF_VAR_endpoint TF_VAR_secret_key
}

# applied WORD OPTION...: applies, and then has nothing left to do.
applied() {
  local word=$1
  shift
  quietly apply -auto-approve "$@"
  quietly plan -detailed-exitcode "$@"
  echo "$word"
}

# Into a state that does not know them yet.
adopt() {
  local key
  key=$(terraform output -raw key)
  [[ $(terraform output -raw word) == word ]] || { echo 'the secret is not what was encrypted' >&2; exit 1; }
  quietly state rm aws_kms_key.main aws_kms_alias.main
  quietly import aws_kms_key.main "$key"
  quietly import aws_kms_alias.main alias/terraform
}

# quietly COMMAND...: shows what Terraform says only if it fails.
quietly() {
  terraform "$@" >terraform.log 2>&1 || { cat terraform.log >&2; exit 1; }
}

main
