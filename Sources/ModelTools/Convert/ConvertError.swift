package import GGUF

/// Why a model folder cannot be converted.
package enum ConvertError: Error, Equatable, CustomStringConvertible {
    case file(path: String, reason: String)
    /// A JSON file, or a safetensors header, that is not what it should be.
    case format(path: String, field: String, found: String, expected: String)
    case unknownArchitecture(found: String, known: [String])
    case config(key: String, found: String, expected: String)
    case missingTensor(name: String, expected: [Int])
    /// Shapes with the row length last, as the checkpoint has them.
    case tensorShape(name: String, found: [Int], expected: [Int])
    case tensorType(name: String, found: String, expected: String)
    case unexpectedTensors([String])
    case notFinite(tensor: String, row: Int, column: Int, value: String)
    case beyondRange(tensor: String, value: Float, type: GGUFTensorType)
    case unsupportedTarget(GGUFTensorType)
    case tokenizer(path: String, field: String, found: String, expected: String)
    case adapter(tensor: String, reason: String)
    case cancelled

    package var description: String {
        switch self {
        case .file(let path, let reason): "\(path): \(reason)"
        case .format(let path, let field, let found, let expected),
            .tokenizer(let path, let field, let found, let expected):
            "\(path): \(field.printable(limit: 300)) is \(found.printable(limit: 300)), expected \(expected)"
        case .unknownArchitecture(let found, let known):
            "cannot convert the architecture \"\(found.printable(limit: 100))\"; these work: "
                + known.joined(separator: ", ")
        case .config(let key, let found, let expected):
            "config.json: \(key) is \(found.printable(limit: 200)), expected \(expected)"
        case .missingTensor(let name, let expected):
            "tensor \"\(name.printable(limit: 200))\" is missing"
                + (expected.isEmpty ? "" : ", expected one of shape \(expected)")
        case .tensorShape(let name, let found, let expected):
            "tensor \"\(name.printable(limit: 200))\" has shape \(found), expected \(expected)"
        case .tensorType(let name, let found, let expected):
            "tensor \"\(name.printable(limit: 200))\" holds \(found.printable(limit: 50)), expected \(expected)"
        case .unexpectedTensors(let names):
            "the family has no place for \(names.count == 1 ? "this tensor" : "these \(names.count) tensors"): "
                + names.prefix(5).map { $0.printable(limit: 200) }.joined(separator: ", ")
                + (names.count > 5 ? " …" : "")
        case .notFinite(let tensor, let row, let column, let value):
            "tensor \"\(tensor)\": row \(row), column \(column) is \(value), expected a finite number"
        case .beyondRange(let tensor, let value, let type):
            "tensor \"\(tensor)\" holds \(value), more than \(type.name) can; choose bf16 or f32"
        case .unsupportedTarget(let type): "cannot make \(type.name)"
        case .adapter(let tensor, let reason): "adapter of \"\(tensor.printable(limit: 200))\": \(reason)"
        case .cancelled: "stopped"
        }
    }
}
