# Writes the text files FILES (separated by |) into the C++ source OUT as one table in NAMESPACE.
string(REPLACE "|" ";" files "${FILES}")
set(rows "")
list(LENGTH files count)
foreach(path ${files})
  get_filename_component(name ${path} NAME_WLE)
  file(READ ${path} text)
  string(APPEND rows "    {\"${name}\", R\"moesim_data(${text})moesim_data\"},\n")
endforeach()
file(WRITE ${OUT}
  "#include \"base/embedded.h\"\n\n#include <array>\n\nnamespace ${NAMESPACE} {\n"
  "std::span<const moesim::base::EmbeddedFile> embedded_presets();\n"
  "std::span<const moesim::base::EmbeddedFile> embedded_presets() {\n"
  "  static constexpr std::array<moesim::base::EmbeddedFile, ${count}> files{{\n${rows}  }};\n"
  "  return files;\n}\n}  // namespace ${NAMESPACE}\n")
