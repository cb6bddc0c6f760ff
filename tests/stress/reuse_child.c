// What the units of the number reuse test run.
//   reuse-child sleep       sleeps for good
//   reuse-child fork FILE   leaves a sleeping child behind, whose number it writes to FILE
//   reuse-child stay        leaves a sleeping child behind and says nothing of it
//   reuse-child leave       leaves nothing behind
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int write_number(const char* file, pid_t number) {
  char text[16];
  const int length = snprintf(text, sizeof text, "%d\n", (int)number);
  const int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return 3;
  if (write(fd, text, (size_t)length) != length) return 4;
  return close(fd) == 0 ? 0 : 5;
}

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const int leaves = strcmp(argv[1], "leave") == 0;
  const int sleeps = strcmp(argv[1], "sleep") == 0;
  if (leaves) return 0;
  if (!sleeps) {
    const pid_t child = fork();
    if (child < 0) return 6;
    if (child > 0) return argc > 2 ? write_number(argv[2], child) : 0;
  }
  for (;;) pause();
}
