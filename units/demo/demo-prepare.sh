# The oneshot of the demo: looks around, says what it finds, and ends.
set -eu
echo "Preparing the demo on $(uname -n), kernel $(uname -r)"
test -x /usr/bin/perl
test -n "$INVOCATION_ID"
echo "Everything the demo needs is here"
