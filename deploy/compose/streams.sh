#!/bin/sh
# Makes the streams of JetStream, one per topic, and changes nothing that is
# there. make generate writes this file from the table of topics.
set -eu
until nats --server "$NATS_URL" --user "$NATS_TOKEN" account info >/dev/null 2>&1; do sleep 1; done
stream() {
  nats --server "$NATS_URL" --user "$NATS_TOKEN" stream info "$1" >/dev/null 2>&1 ||
    nats --server "$NATS_URL" --user "$NATS_TOKEN" stream add "$1" --subjects "$2" --storage file --retention limits --discard old \
      --max-age 720h --max-msgs=-1 --max-bytes=-1 --max-msg-size=-1 --max-msgs-per-subject=-1 --dupe-window 2m --replicas 1 --defaults
}
stream user-events user.events
stream course-events course.events
stream enrollment-events enrollment.events
stream content-events content.events
stream assignment-events assignment.events
stream payment-events payment.events
