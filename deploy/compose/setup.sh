#!/bin/sh
# Makes what Compose needs before its first start: the secrets, each of 32 random
# bytes, and .env, which names the profile. What is there already is kept.
# make generate writes this file from the table of services.
#
#   deploy/compose/setup.sh kafka|redis|rabbitmq|nats
set -eu
cd "$(dirname "$0")"
profile=${1:-}
case $profile in
kafka | redis | rabbitmq | nats) ;;
*) echo "usage: $0 kafka|redis|rabbitmq|nats" >&2; exit 2 ;;
esac
umask 077
mkdir -p secrets
chmod -R u+w secrets
random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }
# Containers read these files as a user that this machine does not know: the
# folder keeps others out, the files do not.
once() {
  [ -s "secrets/$1" ] || random > "secrets/$1"
  chmod 0444 "secrets/$1"
}
for name in postgres redis rabbitmq nats; do once $name; done
printf 'default_user = lms\ndefault_pass = %s\n' "$(cat secrets/rabbitmq)" > secrets/rabbitmq.conf
if [ ! -s secrets/database-passwords ]; then
  for role in user user_owner course course_owner enrollment enrollment_owner content content_owner assignment assignment_owner payment payment_owner analytics analytics_owner state; do
    echo "$role=$(random)"
  done > secrets/database-passwords
fi
password() { sed -n "s/^$1=//p" secrets/database-passwords; }
: > secrets/service-passwords
: > secrets/owner-passwords
for service in user course enrollment content assignment payment analytics; do
  [ -n "$(password $service)" ] || { echo "$service=$(random)"; echo "${service}_owner=$(random)"; } >> secrets/database-passwords
  echo "postgres:5432:lms_$service:lms_$service:$(password $service)" >> secrets/service-passwords
  echo "postgres:5432:lms_$service:lms_${service}_owner:$(password ${service}_owner)" >> secrets/owner-passwords
done
if [ ! -s secrets/secrets.json ]; then
  {
    echo '{'
    for name in objects-signing-key auth-sealing-key notification-sealing-key payment-webhook-secrets user-sealing-key service-user service-auth service-course service-enrollment service-content service-assignment service-notification service-payment service-search service-analytics service-gateway service-lms; do
      echo "  \"$name\": \"$(random)\","
    done
    for name in redis-events-password redis-state-password redis-cache-password; do
      echo "  \"$name\": \"$(cat secrets/redis)\","
    done
    echo "  \"rabbitmq-password\": \"$(cat secrets/rabbitmq)\","
    echo "  \"nats-token\": \"$(cat secrets/nats)\","
    echo "  \"postgres-state-password\": \"$(password state)\","
    echo '  "smtp-password": ""'
    echo '}'
  } > secrets/secrets.json
fi
chmod 0444 secrets/*
if [ ! -s .env ]; then
  {
    echo "DAPR_API_TOKEN=$(random)"
    echo "APP_API_TOKEN=$(random)"
    echo "LMS_NATS_TOKEN=$(cat secrets/nats)"
  } > .env
fi
grep -vE '^(COMPOSE_FILE|LMS_PROFILE)=' .env > .env.new || true
{
  echo "COMPOSE_FILE=compose.yaml:compose.$profile.yaml"
  echo "LMS_PROFILE=$profile"
} >> .env.new
mv .env.new .env
echo "ready: cd $(pwd) && docker compose up -d"
