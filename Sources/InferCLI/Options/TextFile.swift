import Foundation

/// Files that a user names.
enum TextFile {
    static func contents(of path: String) throws -> String {
        do {
            return try decoded(try Data(contentsOf: URL(filePath: path)), from: path)
        } catch let error as CocoaError {
            let reason = (error.underlying as? POSIXError).map { String(cString: strerror($0.code.rawValue)) }
            throw CommandError("cannot read \(path)" + (reason.map { ": \($0.lowercased())" } ?? ""))
        }
    }

    static func decoded(_ data: Data, from source: String) throws -> String {
        guard var text = String(validating: data, as: UTF8.self) else {
            throw CommandError("\(source) is not UTF-8 text")
        }
        // The line break that ends a file is not part of what was asked.
        if text.hasSuffix("\n") { text.removeLast() }
        return text
    }
}
