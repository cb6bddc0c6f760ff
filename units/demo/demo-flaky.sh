# Works for 5 to 20 seconds and then crashes: by an exit code, or every other time by a signal.
set -u
number=$(od -An -N1 -tu1 /dev/urandom)
seconds=$((5 + number % 16))
echo "Working for $seconds seconds"
sleep "$seconds"
if [ $((number % 2)) -eq 0 ]; then
  echo "Crashing with exit code 3"
  exit 3
fi
echo "Crashing with SIGSEGV"
kill -s SEGV $$
