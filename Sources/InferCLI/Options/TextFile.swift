import Foundation

/// Files that a user names.
enum TextFile {
    static func contents(of path: String) throws -> String { try decoded(try data(of: path), from: path) }

    static func data(of path: String) throws -> Data {
        do {
            return try Data(contentsOf: URL(filePath: path))
        } catch let error as CocoaError {
            let reason = (error.underlying as? POSIXError).map { String(cString: strerror($0.code.rawValue)) }
            throw CommandError("cannot read \(path)" + (reason.map { ": \($0.lowercased())" } ?? ""))
        }
    }

    static func decoded(_ data: Data, from source: String) throws -> String {
        var text = try whole(data, from: source)
        // The line break that ends a file is not part of what was asked.
        if text.hasSuffix("\n") { text.removeLast() }
        return text
    }

    /// With the line break that ends it.
    static func whole(_ data: Data, from source: String) throws -> String {
        guard let text = String(validating: data, as: UTF8.self) else {
            throw CommandError("\(source) is not UTF-8 text")
        }
        return text
    }
}
