/* A SavedModel served by TensorFlow's C library alone: no Python, no protocol buffer library.
 *
 *     serve DIR < requests > answers
 *
 * loads the graph tagged "serve", as TensorFlow Serving does, finds each signature's tensors by
 * name, and answers one request a line:
 *
 *     SIGNATURE INPUT TYPE FILE SIZE...
 *
 * TYPE is uint8, float or string; FILE holds the tensor's bytes, row by row, of strings each with
 * its length before it (32 bits, this machine's order). An answer is a line of JSON:
 *
 *     {"code": 0, "outputs": {"top_labels": {"shape": [1, 2], "values": ["a", "b"]}, ...}}
 *     {"code": 3, "message": "..."}                    code as in TF_Code: 3 is INVALID_ARGUMENT
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tensorflow/c/c_api.h>

enum { MAX_OUTPUTS = 8, MAX_RANK = 8 };
/* Field numbers of tensorflow/core/protobuf/meta_graph.proto. */
enum { SIGNATURES = 5, INPUTS = 1, OUTPUTS = 2, TENSOR_NAME = 1, KEY = 1, VALUE = 2 };

typedef struct {
  const uint8_t *at, *end;
} Span;

static void die(const char *message) {
  fprintf(stderr, "serve: %s\n", message);
  exit(1);
}

/* --- Protocol buffers: https://protobuf.dev/programming-guides/encoding ------------------- */

static uint64_t varint(Span *from) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (from->at == from->end) die("a message is cut off");
    uint8_t octet = *from->at++;
    value |= (uint64_t)(octet & 0x7f) << shift;
    if (!(octet & 0x80)) return value;
  }
  die("a number is too long");
  return 0;
}

/* Takes the next field: its number, and in *payload what it holds if that has a length. */
static int next_field(Span *from, Span *payload) {
  uint64_t tag = varint(from), length;
  switch (tag & 7) {
    case 0: varint(from); length = 0; break;
    case 1: length = 8; break;
    case 2: length = varint(from); break;
    case 5: length = 4; break;
    default: die("a field of an unknown kind");
  }
  if (length > (uint64_t)(from->end - from->at)) die("a field is cut off");
  payload->at = from->at;
  payload->end = from->at += length;
  return (int)(tag >> 3);
}

static int find_field(Span message, int number, Span *payload) {
  while (message.at < message.end)
    if (next_field(&message, payload) == number) return 1;
  return 0;
}

/* The entries of a map, one after another: key and value. */
static int next_entry(Span *message, int number, Span *key, Span *value) {
  Span entry;
  while (message->at < message->end)
    if (next_field(message, &entry) == number)
      return find_field(entry, KEY, key) && find_field(entry, VALUE, value);
  return 0;
}

static int is(Span text, const char *word) {
  size_t length = (size_t)(text.end - text.at);
  return length == strlen(word) && !memcmp(text.at, word, length);
}

static int find_entry(Span message, int number, const char *key, Span *value) {
  Span found;
  while (next_entry(&message, number, &found, value))
    if (is(found, key)) return 1;
  return 0;
}

/* --- Tensors ------------------------------------------------------------------------------ */

/* The place in the graph of a TensorInfo, whose name is "operation:index". */
static TF_Output place(TF_Graph *graph, Span info) {
  Span name;
  char text[512];
  if (!find_field(info, TENSOR_NAME, &name)) die("a tensor without a name");
  size_t length = (size_t)(name.end - name.at);
  if (length >= sizeof text) die("a tensor's name is too long");
  memcpy(text, name.at, length);
  text[length] = 0;
  char *colon = strrchr(text, ':');
  if (!colon) die("a tensor's name without its index");
  *colon = 0;
  TF_Output output = {TF_GraphOperationByName(graph, text), atoi(colon + 1)};
  if (!output.oper) die("a signature names an operation that is not in the graph");
  return output;
}

static char *read_file(const char *path, size_t *length) {
  FILE *file = fopen(path, "rb");
  if (!file || fseek(file, 0, SEEK_END)) die("a file cannot be read");
  *length = (size_t)ftell(file);
  rewind(file);
  char *bytes = malloc(*length + 1);
  if (!bytes || fread(bytes, 1, *length, file) != *length) die("a file cannot be read");
  fclose(file);
  return bytes;
}

static TF_Tensor *make_tensor(const char *type, const int64_t *sizes, int rank, const char *path) {
  size_t length, count = 1;
  char *bytes = read_file(path, &length), *at = bytes;
  for (int i = 0; i < rank; i++) count *= (size_t)sizes[i];
  TF_Tensor *tensor;
  if (!strcmp(type, "string")) {
    tensor = TF_AllocateTensor(TF_STRING, sizes, rank, count * sizeof(TF_TString));
    TF_TString *strings = TF_TensorData(tensor);
    for (size_t i = 0; i < count; i++) {
      uint32_t size;
      memcpy(&size, at, sizeof size);
      TF_StringInit(&strings[i]);
      TF_StringCopy(&strings[i], at + sizeof size, size);
      at += sizeof size + size;
    }
  } else {
    TF_DataType kind = strcmp(type, "uint8") ? TF_FLOAT : TF_UINT8;
    if (length != count * TF_DataTypeSize(kind)) die("a file is not of the tensor's size");
    tensor = TF_AllocateTensor(kind, sizes, rank, length);
    memcpy(TF_TensorData(tensor), bytes, length);
  }
  free(bytes);
  return tensor;
}

static void free_tensor(TF_Tensor *tensor) {
  if (TF_TensorType(tensor) == TF_STRING) {
    TF_TString *strings = TF_TensorData(tensor);
    for (int64_t i = 0; i < TF_TensorElementCount(tensor); i++) TF_StringDealloc(&strings[i]);
  }
  TF_DeleteTensor(tensor);
}

/* --- Answers ------------------------------------------------------------------------------ */

static void print_text(const char *text, size_t length) {
  putchar('"');
  for (size_t i = 0; i < length; i++) {
    unsigned char octet = (unsigned char)text[i];
    if (octet < 0x20 || octet == '"' || octet == '\\')
      printf("\\u%04x", octet);
    else
      putchar(octet);
  }
  putchar('"');
}

static void print_tensor(const TF_Tensor *tensor) {
  printf("{\"shape\": [");
  for (int i = 0; i < TF_NumDims(tensor); i++)
    printf("%s%lld", i ? ", " : "", (long long)TF_Dim(tensor, i));
  printf("], \"values\": [");
  for (int64_t i = 0; i < TF_TensorElementCount(tensor); i++) {
    if (i) printf(", ");
    if (TF_TensorType(tensor) == TF_STRING) {
      const TF_TString *text = (const TF_TString *)TF_TensorData(tensor) + i;
      print_text(TF_StringGetDataPointer(text), TF_StringGetSize(text));
    } else {
      printf("%.9g", ((const float *)TF_TensorData(tensor))[i]);
    }
  }
  printf("]}");
}

static void refuse(int code, const char *message) {
  printf("{\"code\": %d, \"message\": ", code);
  print_text(message, strlen(message));
  printf("}\n");
}

static void answer(TF_Session *session, TF_Graph *graph, Span meta, char *line) {
  char *words[4 + MAX_RANK];
  int count = 0;
  for (char *word = strtok(line, " \n"); word && count < 4 + MAX_RANK; word = strtok(NULL, " \n"))
    words[count++] = word;
  if (count < 4) die("expected SIGNATURE INPUT TYPE FILE SIZE...");
  int64_t sizes[MAX_RANK];
  for (int i = 4; i < count; i++) sizes[i - 4] = atoll(words[i]);

  Span signature, info, names[MAX_OUTPUTS];
  if (!find_entry(meta, SIGNATURES, words[0], &signature)) return refuse(5, "no such signature");
  if (!find_entry(signature, INPUTS, words[1], &info)) return refuse(3, "no such input");
  TF_Output input = place(graph, info), outputs[MAX_OUTPUTS];
  int num_outputs = 0;
  while (num_outputs < MAX_OUTPUTS && next_entry(&signature, OUTPUTS, &names[num_outputs], &info))
    outputs[num_outputs++] = place(graph, info);

  TF_Tensor *given = make_tensor(words[2], sizes, count - 4, words[3]), *found[MAX_OUTPUTS];
  TF_Status *status = TF_NewStatus();
  TF_SessionRun(session, NULL, &input, &given, 1, outputs, found, num_outputs, NULL, 0, NULL,
                status);
  if (TF_GetCode(status) != TF_OK) {
    refuse((int)TF_GetCode(status), TF_Message(status));
  } else {
    printf("{\"code\": 0, \"outputs\": {");
    for (int i = 0; i < num_outputs; i++) {
      if (i) printf(", ");
      print_text((const char *)names[i].at, (size_t)(names[i].end - names[i].at));
      printf(": ");
      print_tensor(found[i]);
      free_tensor(found[i]);
    }
    printf("}}\n");
  }
  free_tensor(given);
  TF_DeleteStatus(status);
}

int main(int argc, char **argv) {
  if (argc != 2) die("usage: serve DIR");
  const char *tags[] = {"serve"};
  TF_Status *status = TF_NewStatus();
  TF_Graph *graph = TF_NewGraph();
  TF_Buffer *meta = TF_NewBuffer();
  TF_SessionOptions *options = TF_NewSessionOptions();
  TF_Session *session =
      TF_LoadSessionFromSavedModel(options, NULL, argv[1], tags, 1, graph, meta, status);
  if (TF_GetCode(status) != TF_OK) die(TF_Message(status));

  Span all = {meta->data, (const uint8_t *)meta->data + meta->length};
  char line[4096];
  while (fgets(line, sizeof line, stdin)) {
    answer(session, graph, all, line);
    fflush(stdout);
  }
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  TF_DeleteSessionOptions(options);
  TF_DeleteBuffer(meta);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return 0;
}
