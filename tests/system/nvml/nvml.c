/* NVML's interface over a text file named by $NVML_SCENARIO, which is read anew on every call.

   init CODE                       what nvmlInit returns
   count CODE                      what nvmlDeviceGetCount returns
   gpu NAME UUID TOTAL FREE CODE   a device; CODE is what asking for its memory returns, a negative one what asking for
                                   its handle returns; 113 knows only the first version of the memory call
   mig NAME UUID TOTAL FREE GPU    an instance of the partitioned device number GPU
   process GPU PID BYTES           BYTES of -1 is not told
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory_v2;
typedef struct { unsigned long long total, free, used; } memory_v1;
typedef struct { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; } process_info;
typedef struct { char name[96], uuid[80]; unsigned long long total, free; int code, parent; } device;
typedef struct { int gpu; unsigned pid; long long bytes; } process;

enum { OK = 0, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, NO_FUNCTION = 13, MOST = 64 };
#define RESERVED (500ULL << 20)

static struct { int init, count_code, gpus, migs, processes; device gpu[MOST], mig[MOST]; process held[MOST]; } now;

static void read_scenario(void) {
    char line[512], kind[16];
    const char *path = getenv("NVML_SCENARIO");
    FILE *file = path ? fopen(path, "r") : NULL;
    memset(&now, 0, sizeof now);
    while (file && fgets(line, sizeof line, file)) {
        device d = {.parent = -1};
        process p = {0};
        if (sscanf(line, "%15s", kind) != 1) continue;
        if (!strcmp(kind, "init")) sscanf(line, "%*s %d", &now.init);
        if (!strcmp(kind, "count")) sscanf(line, "%*s %d", &now.count_code);
        if (!strcmp(kind, "gpu") && now.gpus < MOST
            && sscanf(line, "%*s %95s %79s %llu %llu %d", d.name, d.uuid, &d.total, &d.free, &d.code) == 5)
            now.gpu[now.gpus++] = d;
        if (!strcmp(kind, "mig") && now.migs < MOST
            && sscanf(line, "%*s %95s %79s %llu %llu %d", d.name, d.uuid, &d.total, &d.free, &d.parent) == 5)
            now.mig[now.migs++] = d;
        if (!strcmp(kind, "process") && now.processes < MOST
            && sscanf(line, "%*s %d %u %lld", &p.gpu, &p.pid, &p.bytes) == 3)
            now.held[now.processes++] = p;
    }
    if (file) fclose(file);
}

/* A handle is the device's number, from 1; that of an instance from 1001. */
static device *of(void *handle) {
    size_t number = (size_t)handle;
    read_scenario();
    if (number > 1000) return number - 1001 < (size_t)now.migs ? &now.mig[number - 1001] : NULL;
    return number >= 1 && number - 1 < (size_t)now.gpus ? &now.gpu[number - 1] : NULL;
}

int nvmlInitWithFlags(unsigned flags) { (void)flags; read_scenario(); return now.init; }
int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int code) { (void)code; return "an error of the driver"; }

int nvmlDeviceGetCount_v2(unsigned *count) {
    read_scenario();
    *count = (unsigned)now.gpus;
    return now.count_code;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    read_scenario();
    if (index >= (unsigned)now.gpus) return INVALID;
    if (now.gpu[index].code < 0) return -now.gpu[index].code;
    *handle = (void *)(size_t)(index + 1);
    return OK;
}

static int copy(const char *text, char *out, unsigned size) {
    if (strlen(text) + 1 > size) return TOO_SMALL;
    strcpy(out, text);
    return OK;
}

int nvmlDeviceGetName(void *handle, char *out, unsigned size) {
    device *d = of(handle);
    return d ? copy(d->name, out, size) : INVALID;
}

int nvmlDeviceGetUUID(void *handle, char *out, unsigned size) {
    device *d = of(handle);
    return d ? copy(d->uuid, out, size) : INVALID;
}

int nvmlDeviceGetMemoryInfo(void *handle, memory_v1 *out) {
    device *d = of(handle);
    if (!d) return INVALID;
    if (d->code && d->code != 113) return d->code;
    out->total = d->total;
    out->free = d->free;
    out->used = d->total - d->free; /* the reserved part counts as used */
    return OK;
}

int nvmlDeviceGetMemoryInfo_v2(void *handle, memory_v2 *out) {
    device *d = of(handle);
    if (!d) return INVALID;
    if (d->code == 113) return NO_FUNCTION;
    if (d->code) return d->code;
    if (out->version != (sizeof *out | 2U << 24)) return 25;
    out->total = d->total;
    out->reserved = RESERVED;
    out->free = d->free;
    out->used = d->total - d->free - RESERVED;
    return OK;
}

int nvmlDeviceGetMigMode(void *handle, unsigned *current, unsigned *pending) {
    int index = (int)(size_t)handle - 1;
    if (!of(handle)) return INVALID;
    *current = *pending = 0;
    for (int i = 0; i < now.migs; i++)
        if (now.mig[i].parent == index) *current = *pending = 1;
    return *current ? OK : NOT_SUPPORTED;
}

int nvmlDeviceGetMaxMigDeviceCount(void *handle, unsigned *count) { (void)handle; *count = 7; return OK; }

int nvmlDeviceGetMigDeviceHandleByIndex(void *handle, unsigned index, void **out) {
    if (!of(handle)) return INVALID;
    for (int i = 0, seen = 0; i < now.migs; i++)
        if (now.mig[i].parent == (int)(size_t)handle - 1 && (unsigned)seen++ == index) {
            *out = (void *)(size_t)(1001 + i);
            return OK;
        }
    return NOT_FOUND;
}

static int processes(void *handle, unsigned *count, process_info *out) {
    unsigned found = 0;
    if (!of(handle)) return INVALID;
    for (int i = 0; i < now.processes; i++) {
        if (now.held[i].gpu != (int)(size_t)handle - 1) continue;
        if (out && found < *count) {
            memset(&out[found], 0, sizeof *out);
            out[found].pid = now.held[i].pid;
            out[found].used = (unsigned long long)now.held[i].bytes;
        }
        found++;
    }
    if (found > (out ? *count : 0)) { *count = found; return TOO_SMALL; }
    *count = found;
    return OK;
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *count, process_info *out) {
    return processes(handle, count, out);
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(void *handle, unsigned *count, process_info *out) {
    (void)handle; (void)out;
    *count = 0;
    return OK;
}
