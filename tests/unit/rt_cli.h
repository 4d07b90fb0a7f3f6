/* Runs the built program in a child process and keeps what it printed. */
#ifndef RT_CLI_H
#define RT_CLI_H
#include "fake_model.h"
#include "verbs.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CLI_TEXT = 1 << 16, CLI_ARGS = 40 };

static char cli_dir[64]; /* a scratch folder, made by cli_begin, removed by cli_end */
static char cli_out[CLI_TEXT], cli_err[CLI_TEXT];

static int cli_begin(void **state)
{
    (void)state;
    /* In memory if possible: the runs below do a thousand fsyncs. */
    strcpy(cli_dir,
           access("/dev/shm", W_OK) ? "/tmp/sinter-test-XXXXXX" : "/dev/shm/sinter-XXXXXX");
    return !mkdtemp(cli_dir) || chdir(cli_dir);
}

static int cli_end(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", cli_dir);
    return chdir("/") || system(command);
}

static void cli_read(const char *path, char *text)
{
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(text, 1, CLI_TEXT - 1, f) : 0;
    text[n] = 0;
    if (f) fclose(f);
}

static void cli_child(const RtModel *m, int argc, char **argv)
{
    int o = open("out.txt", O_WRONLY | O_CREAT | O_TRUNC, 0600),
        e = open("err.txt", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(o, 1);
    dup2(e, 2);
    static const RtDriver *const none[] = {NULL};
    exit(rt_main(m, fake_kernels, none, argc, argv));
}

/* line: words with single spaces, after the program's name. Returns the exit code, or 128 + the
 * signal. */
static int cli_with(const RtModel *m, const char *line)
{
    static char words[4096];
    char *argv[CLI_ARGS + 1] = {"fake"}, *save = NULL;
    int argc = 1, status;
    snprintf(words, sizeof words, "%s", line);
    for (char *w = strtok_r(words, " ", &save); w && argc < CLI_ARGS;
         w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) cli_child(m, argc, argv);
    waitpid(pid, &status, 0);
    cli_read("out.txt", cli_out);
    cli_read("err.txt", cli_err);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int cli(const char *line)
{
    static const RtModel *m;
    if (!m) m = fake_model("Adam(lr=0.01)");
    return cli_with(m, line);
}
#endif
