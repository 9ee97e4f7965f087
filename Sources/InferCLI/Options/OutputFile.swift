import Foundation
import GGUF

/// A file that results are written to: there when it is complete, and never in the place of a device.
final class OutputFile {
    private let path: String
    private var file: AtomicFile?

    init(_ path: String) { self.path = path }

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

    static func write(_ text: String, to path: String) throws { try write(Data(text.utf8), to: path) }

    static func write(_ data: Data, to path: String) throws {
        let file = OutputFile(path)
        try file.append(data)
        try file.commit()
    }

    /// Nothing is created before the first piece is there, so that a refused request leaves no file.
    func append(_ data: Data) throws {
        let bytes = [UInt8](data)
        do {
            let file = try file ?? AtomicFile(path: path)
            self.file = file
            try bytes.withUnsafeBytes { try file.write($0) }
        } catch let error as GGUFError {
            throw named(error)
        }
    }

    /// Gives the file its name.
    func commit() throws {
        do {
            try (file ?? AtomicFile(path: path)).commit()
        } catch let error as GGUFError {
            throw named(error)
        }
    }

    /// Faults name the file that was asked for, not the temporary one.
    private func named(_ error: GGUFError) -> CommandError {
        switch error {
        case .notARegularFile: CommandError("\(path) is not a regular file")
        case .io(_, _, let code): CommandError("cannot write \(path): \(String(cString: strerror(code)).lowercased())")
        default: CommandError("cannot write \(path): \(error)")
        }
    }
}
