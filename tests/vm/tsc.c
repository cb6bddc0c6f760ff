/* SPDX-License-Identifier: Apache-2.0 */
/* How many thousand times a second the processor's time stamp counter counts. */
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

struct moment {
	double milliseconds;
	unsigned long long count;
};

static double milliseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Both clocks at once: not with something else running in between. */
static struct moment read_both(void)
{
	struct moment m;
	double before;

	do {
		before = milliseconds();
		m.count = __rdtsc();
		m.milliseconds = milliseconds();
	} while (m.milliseconds - before > 0.01);
	return m;
}

int main(void)
{
	const struct timespec a_while = {0, 100000000};
	struct moment begin, end;

	begin = read_both();
	nanosleep(&a_while, NULL);
	end = read_both();
	printf("%.0f\n", (double)(end.count - begin.count) / (end.milliseconds - begin.milliseconds));
	return 0;
}
