// Compiles HLSL files as wgpu-hal 30 does on Windows: hlsl.exe fxc|dxc FILE...
//
// FXC (d3dcompiler_47.dll) and DXC (dxcompiler.dll) stand beside this program. The first line of a file names
// its profile, as `unheat shaders` writes it: "// adam: cs_5_1". A line per file says how it went, with tabs
// between: ok or FAIL, milliseconds of processor time, the file, the compiler's message. Exit status 1 if a file failed, 2 if there
// is no compiler. A file that takes longer than LIMIT_MS ends everything.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#define LIMIT_MS 120000
#define STRICTLY 0x800 // D3DCOMPILE_ENABLE_STRICTNESS
#define COUNT(array) (sizeof(array) / sizeof *(array))

// COM interfaces are tables of functions; these are the parts of them that are called here.
typedef struct Blob Blob;
typedef struct {
    HRESULT(WINAPI *query)(Blob *, const GUID *, void **);
    ULONG(WINAPI *add)(Blob *);
    ULONG(WINAPI *release)(Blob *);
    char *(WINAPI *start)(Blob *);
    SIZE_T(WINAPI *length)(Blob *);
} BlobTable;
struct Blob { const BlobTable *table; };

typedef struct DxcResult DxcResult;
typedef struct {
    HRESULT(WINAPI *query)(DxcResult *, const GUID *, void **);
    ULONG(WINAPI *add)(DxcResult *);
    ULONG(WINAPI *release)(DxcResult *);
    HRESULT(WINAPI *status)(DxcResult *, HRESULT *);
    HRESULT(WINAPI *object)(DxcResult *, Blob **);
    HRESULT(WINAPI *errors)(DxcResult *, Blob **);
} DxcResultTable;
struct DxcResult { const DxcResultTable *table; };

typedef struct { const void *start; SIZE_T length; UINT encoding; } DxcText;
typedef struct DxcCompiler DxcCompiler;
typedef struct {
    HRESULT(WINAPI *query)(DxcCompiler *, const GUID *, void **);
    ULONG(WINAPI *add)(DxcCompiler *);
    ULONG(WINAPI *release)(DxcCompiler *);
    HRESULT(WINAPI *compile)(DxcCompiler *, const DxcText *, const wchar_t **, UINT, void *, const GUID *, void **);
} DxcCompilerTable;
struct DxcCompiler { const DxcCompilerTable *table; };

typedef HRESULT(WINAPI *CreateDxc)(const GUID *, const GUID *, void **);
typedef HRESULT(WINAPI *CompileFxc)(
    const void *, SIZE_T, const char *, const void *, void *, const char *, const char *, UINT, UINT, Blob **, Blob **);

static const GUID DXC_CLASS = {0x73e22d93, 0xe6ce, 0x47f3, {0xb5, 0xbf, 0xf0, 0x66, 0x4f, 0x39, 0xc1, 0xb0}};
static const GUID DXC_COMPILER3 = {0x228b4687, 0x5a6a, 0x4730, {0x90, 0x0c, 0x97, 0x02, 0xb2, 0x20, 0x3f, 0x54}};
static const GUID DXC_RESULT = {0x58346cda, 0xdde7, 0x4497, {0x94, 0x61, 0x6f, 0x87, 0xaf, 0x5e, 0x06, 0x59}};

static CompileFxc fxc;
static DxcCompiler *dxc;
static const char *volatile current;
static volatile DWORD started;

static void *load(const char *library, const char *function) {
    HMODULE module = LoadLibraryA(library);
    FARPROC address = module ? GetProcAddress(module, function) : NULL;
    if (!address) {
        printf("%s has no %s: error %lu\n", library, function, GetLastError());
        exit(2);
    }
    return (void *)address;
}

static DWORD WINAPI watch(void *unused) {
    (void)unused;
    for (;; Sleep(500)) {
        const char *file = current;
        if (file && GetTickCount() - started > LIMIT_MS) {
            printf("FAIL\t%d\t%s\tit takes longer than that; the files behind it were not tried\n", LIMIT_MS, file);
            fflush(stdout);
            ExitProcess(1);
        }
    }
}

static char *contents(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    fseek(file, 0, SEEK_END);
    const long end = ftell(file);
    rewind(file);
    char *text = calloc(1, end + 1);
    *length = fread(text, 1, end, file);
    fclose(file);
    return text;
}

static HRESULT compile(const char *path, const char *text, size_t length, char *profile, Blob **errors) {
    Blob *code = NULL;
    if (fxc) {
        const HRESULT status =
            fxc(text, length, path, NULL, NULL, "main", profile, STRICTLY, 0, &code, errors);
        return status == 0 && !code ? E_FAIL : status;
    }
    // With DXC wgpu never asks for less than 6.0.
    if (profile[3] == '5') strcpy(profile, "cs_6_0");
    wchar_t target[16] = {0};
    mbstowcs(target, profile, COUNT(target) - 1);
    const wchar_t *flags[] = {L"-E", L"main", L"-T", target, L"-HV", L"2018", L"-no-warnings", L"-Ges",
                              L"-enable-16bit-types"};
    const UINT count = strcmp(profile, "cs_6_2") < 0 ? COUNT(flags) - 1 : COUNT(flags);
    const DxcText source = {text, length, CP_UTF8};
    DxcResult *result = NULL;
    HRESULT status = dxc->table->compile(dxc, &source, flags, count, NULL, &DXC_RESULT, (void **)&result);
    if (status == 0 && result) {
        result->table->status(result, &status);
        result->table->errors(result, errors);
        if (status == 0) result->table->object(result, &code);
        // wgpu takes anything that is said for an error.
        if (status == 0 && *errors && (*errors)->table->length(*errors) > 1) status = E_FAIL;
    }
    return status == 0 && !code ? E_FAIL : status;
}

// Of the whole process, so that other work on the machine does not count.
static double processor_ms(void) {
    FILETIME started, ended, kernel, user;
    GetProcessTimes(GetCurrentProcess(), &started, &ended, &kernel, &user);
    const double high = (double)kernel.dwHighDateTime + (double)user.dwHighDateTime;
    const double low = (double)kernel.dwLowDateTime + (double)user.dwLowDateTime;
    return (high * 4294967296.0 + low) * 1e-4;
}

static int judge(const char *path) {
    size_t length = 0;
    char *text = contents(path, &length);
    char profile[16] = "", message[500] = "";
    Blob *errors = NULL;
    HRESULT status = E_FAIL;
    const double before = processor_ms();
    if (!text) {
        strcpy(message, "cannot be read");
    } else if (sscanf(text, "// %*[^:\r\n]: %15[a-z0-9_]", profile) != 1) {
        strcpy(message, "the first line names no profile");
    } else {
        started = GetTickCount();
        current = path;
        status = compile(path, text, length, profile, &errors);
        current = NULL;
    }
    if (status != 0 && errors) {
        strncpy(message, errors->table->start(errors), sizeof message - 1);
    }
    for (char *c = message; *c; c++) {
        if (*c == '\n' || *c == '\r' || *c == '\t') *c = ' ';
    }
    const double ms = processor_ms() - before;
    printf("%s\t%.0f\t%s\t%s\n", status == 0 ? "ok" : "FAIL", ms, path, message);
    fflush(stdout);
    free(text);
    return status != 0;
}

int main(int count, char **arguments) {
    const int is_fxc = count > 1 && strcmp(arguments[1], "fxc") == 0;
    if (!is_fxc && (count < 2 || strcmp(arguments[1], "dxc") != 0)) {
        puts("usage: hlsl.exe fxc|dxc FILE...");
        return 2;
    }
    if (is_fxc) {
        fxc = (CompileFxc)load("d3dcompiler_47.dll", "D3DCompile");
    } else {
        const CreateDxc create = (CreateDxc)load("dxcompiler.dll", "DxcCreateInstance");
        if (create(&DXC_CLASS, &DXC_COMPILER3, (void **)&dxc) != 0) {
            puts("dxcompiler.dll makes no compiler");
            return 2;
        }
    }
    CreateThread(NULL, 0, watch, NULL, 0, NULL);
    int failed = 0;
    for (int i = 2; i < count; i++) failed |= judge(arguments[i]);
    return failed;
}
