/* Programs that hold memory in known ways: `memory SCENARIO`. Each tick stands for a second of requests. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MIB = 1 << 20 };

static char *block(size_t bytes)
{
	char *memory = malloc(bytes);
	if (memory == NULL) {
		perror("malloc");
		exit(1);
	}
	memset(memory, 1, bytes);
	return memory;
}

static double load(int tick)
{
	return 1.0 + 0.4 * sin(tick / 140.0) + 0.3 * ((double)rand() / RAND_MAX - 0.5);
}

/* One buffer in four is forgotten. */
static void leak_steady(int tick)
{
	int requests = (int)(20 * load(tick));
	for (int i = 0; i < requests; i++) {
		char *buffer = block(16 * 1024 + rand() % (16 * 1024));
		if (rand() % 4 != 0)
			free(buffer);
	}
}

/* Every lost connection makes the next loss more likely. */
static void leak_accelerating(int tick)
{
	static double lost = 1;
	lost *= 1.0012;
	for (int i = 0; i < (int)(lost * load(tick)); i++)
		block(24 * 1024);
}

/* A configuration reload every five minutes loses what the old one held. */
static void leak_staircase(int tick)
{
	static char *buffers[64];
	if (tick % 300 == 299)
		block(14 * MIB);
	int slot = rand() % 64;
	free(buffers[slot]);
	buffers[slot] = block((size_t)(load(tick) * 256 * 1024));
}

/* A cache that fills up to its bound, then replaces. */
static void cache_plateau(int tick)
{
	static char *cache[1500];
	for (int i = 0; i < (int)(4 * load(tick)); i++) {
		int slot = rand() % 1500;
		if (cache[slot] != NULL && rand() % 3 != 0)
			continue;
		free(cache[slot]);
		cache[slot] = block(96 * 1024 + rand() % (32 * 1024));
	}
}

/* Two reconfigurations, each with a bigger working set that stays. */
static void step_changes(int tick)
{
	static char *buffers[64];
	if (tick == 700)
		block(60 * MIB);
	if (tick == 1800)
		block(35 * MIB);
	int slot = rand() % 64;
	free(buffers[slot]);
	buffers[slot] = block((size_t)(load(tick) * 300 * 1024));
}

int main(int count, char **arguments)
{
	static const struct {
		const char *name;
		void (*tick)(int);
	} scenarios[] = {
		{"leak-steady", leak_steady},       {"leak-accelerating", leak_accelerating},
		{"leak-staircase", leak_staircase}, {"cache-plateau", cache_plateau},
		{"step-changes", step_changes},
	};
	srand(7);
	block(40 * MIB);
	for (size_t i = 0; count == 2 && i < sizeof scenarios / sizeof *scenarios; i++) {
		if (strcmp(arguments[1], scenarios[i].name) != 0)
			continue;
		for (int tick = 0;; tick++) {
			scenarios[i].tick(tick);
			sleep(1);
		}
	}
	fprintf(stderr, "usage: memory SCENARIO\n");
	return 2;
}
