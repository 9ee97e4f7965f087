import Foundation

/// Files that results are written to.
enum OutputFile {
    /// Says before long work what would make writing impossible after it.
    static func check(_ path: String) throws {
        var status = stat()
        if stat(path, &status) == 0 {
            guard status.st_mode & S_IFMT == S_IFREG else { throw CommandError("\(path) is not a regular file") }
            return
        }
        let folder = URL(filePath: path).deletingLastPathComponent().path
        guard stat(folder, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
            throw CommandError("cannot write \(path): there is no folder \(folder)")
        }
    }

    /// The file is there when it is complete.
    static func write(_ text: String, to path: String) throws {
        do {
            try Data(text.utf8).write(to: URL(filePath: path), options: .atomic)
        } catch let error as CocoaError {
            let reason = (error.underlying as? POSIXError).map { String(cString: strerror($0.code.rawValue)) }
            throw CommandError("cannot write \(path)" + (reason.map { ": \($0.lowercased())" } ?? ""))
        }
    }
}
