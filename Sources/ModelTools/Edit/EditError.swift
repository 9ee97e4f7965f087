import GGUF

/// Why a file cannot be written anew.
package enum EditError: Error, Equatable, CustomStringConvertible {
    case noSuchKey(String)
    case keyExists(String)
    case changedTwice(String)
    /// Keys that belong to the container.
    case reserved(String)
    case typeNeeded(key: String)
    case value(key: String, text: String, type: String)
    case noSuchTensor(String)
    case tensorExists(String)
    case inPlace(String)
    case notSplit(String)
    case cancelled

    package var description: String {
        switch self {
        case .noSuchKey(let key): "there is no metadata key \"\(key.printable())\""
        case .keyExists(let key): "there is a metadata key \"\(key.printable())\" already"
        case .changedTwice(let key): "metadata key \"\(key.printable())\" would be changed twice"
        case .reserved(let key): "metadata key \"\(key.printable())\" says how a file is split; it cannot be edited"
        case .typeNeeded(let key):
            "metadata key \"\(key.printable())\" is new, so its type has to be said: TYPE:VALUE with one of "
                + ValueText.typeNames.joined(separator: ", ")
        case .value(let key, let text, let type):
            "metadata key \"\(key.printable())\": \"\(text.printable(limit: 60))\" is no value of type \(type)"
        case .noSuchTensor(let name): "there is no tensor \"\(name.printable())\""
        case .tensorExists(let name): "there is a tensor \"\(name.printable())\" already"
        case .inPlace(let path): "\(path.printable()) would be overwritten while it is read; name another file"
        case .notSplit(let path): "\(path.printable()) is not part of a split file"
        case .cancelled: "stopped"
        }
    }
}
