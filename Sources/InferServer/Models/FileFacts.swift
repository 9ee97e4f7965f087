import ChatTemplates
import GGUF

/// What a model file says of itself, for clients that show it.
enum FileFacts {
    private static let longestText = 200

    /// Single values of the groups `general` and of the family; no lists, no templates.
    static func members(of file: GGUFFile, architecture: String) -> JSONObject {
        var members = JSONObject()
        for key in file.metadata.keys where key.hasPrefix("general.") || key.hasPrefix(architecture + ".") {
            if let value = file.metadata[key].flatMap(json) { members[key] = value }
        }
        return members
    }

    private static func json(_ value: GGUFValue) -> JSONValue? {
        switch value {
        case .bool(let flag): .bool(flag)
        case .float32(let number): .double(Double(number))
        case .float64(let number): .double(number)
        case .string(let text): text.utf8.count <= longestText ? .string(text) : nil
        case .array: nil
        default: value.int.map { .int($0) }
        }
    }

    /// The recipe by which the weights were written (`Q4_K_M`); where the file does not name one, the format of most of
    /// its bytes.
    static func quantization(of file: GGUFFile) -> String {
        if let number = try? file.metadata.int(GGUFFileType.key), let name = GGUFFileType.name(number) { return name }
        var bytes: [String: Int] = [:]
        for tensor in file.tensors where tensor.dimensions.count > 1 {
            bytes[tensor.type.name, default: 0] += tensor.byteCount
        }
        return bytes.max { ($0.value, $1.key) < ($1.value, $0.key) }?.key ?? "unknown"
    }
}
