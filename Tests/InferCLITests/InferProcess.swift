import Foundation
import Testing

/// The command as it was built beside these tests.
enum InferProcess {
    struct Result {
        var status: Int32
        var output: String
        var errors: String
    }

    static let executable: URL = {
        let tests = Bundle.main.executableURL ?? URL(filePath: CommandLine.arguments[0])
        return tests.deletingLastPathComponent().appending(path: "infer")
    }()

    /// Runs the command to its end.
    /// - Parameter output: a file that takes the place of standard output, such as /dev/full.
    static func run(
        _ arguments: [String], input: String = "", environment: [String: String] = [:], folder: String? = nil,
        output device: String? = nil
    ) throws -> Result {
        let scratch = FileManager.default.temporaryDirectory.appending(path: "infer-run-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: scratch, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: scratch) }
        // Files rather than pipes: nothing can block.
        func file(_ name: String, _ content: String = "") throws -> URL {
            let url = scratch.appending(path: name)
            try Data(content.utf8).write(to: url)
            return url
        }
        let output = try file("output")
        let errors = try file("errors")
        let process = Process()
        process.executableURL = executable
        process.arguments = arguments
        if let folder { process.currentDirectoryURL = URL(filePath: folder) }
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardInput = try FileHandle(forReadingFrom: try file("input", input))
        process.standardOutput = try FileHandle(forWritingTo: device.map { URL(filePath: $0) } ?? output)
        process.standardError = try FileHandle(forWritingTo: errors)
        try process.run()
        process.waitUntilExit()
        return Result(
            status: process.terminationStatus, output: try String(contentsOf: output, encoding: .utf8),
            errors: try String(contentsOf: errors, encoding: .utf8))
    }
}

/// The system's `read`, which a method of that name hides.
private func systemRead(_ descriptor: Int32, _ bytes: UnsafeMutableRawPointer, _ count: Int) -> Int {
    read(descriptor, bytes, count)
}

extension FileHandle {
    /// What is there, or comes next; empty at the end. Foundation's `availableData` ends the program when reading fails.
    func next() throws -> Data {
        var bytes = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = systemRead(fileDescriptor, &bytes, bytes.count)
            if count >= 0 { return Data(bytes.prefix(count)) }
            guard errno == EINTR else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        }
    }
}

/// The command at a terminal of its own.
final class TerminalSession {
    let process = Process()
    private let terminal: FileHandle
    private(set) var screen = ""

    /// - Parameter environment: `INFER_TEST_PAUSE` holds the program at a place where a test wants it.
    init(_ arguments: [String], environment: [String: String] = [:]) throws {
        var controller: Int32 = -1
        var device: Int32 = -1
        try #require(openpty(&controller, &device, nil, nil, nil) == 0)
        terminal = FileHandle(fileDescriptor: controller, closeOnDealloc: true)
        let end = FileHandle(fileDescriptor: device, closeOnDealloc: true)
        process.executableURL = InferProcess.executable
        process.arguments = arguments
        let terminals = ["TERM": "xterm", "NO_COLOR": "1"].merging(environment) { $1 }
        process.environment = ProcessInfo.processInfo.environment.merging(terminals) { $1 }
        process.standardInput = end
        process.standardOutput = end
        process.standardError = end
        try process.run()
        try end.close()
    }

    func type(_ text: String) throws { try type(bytes: Array(text.utf8)) }

    func type(bytes: [UInt8]) throws { try terminal.write(contentsOf: Data(bytes)) }

    /// Ctrl-C, as another program sends it.
    func interrupt() throws {
        try #require(kill(process.processIdentifier, SIGINT) == 0, "the program has ended; it showed \(screen)")
    }

    /// Reads on until `text` appears behind what was waited for before.
    func wait(for text: String) throws {
        while !screen.contains(text) { try readMore() }
        if let range = screen.range(of: text) { screen.removeSubrange(..<range.upperBound) }
    }

    /// Reads on until anything appears behind what was waited for before.
    func waitForMore() throws {
        if screen.isEmpty { try readMore() }
    }

    private func readMore() throws {
        guard hasSomethingToRead() else { throw Silence(screen: screen) }
        // A terminal whose program has gone gives an error (EIO) or nothing.
        let data = try? terminal.next()
        guard let data, !data.isEmpty else { throw Closed(screen: screen) }
        screen += String(decoding: data, as: UTF8.self)
    }

    /// The exit status. Reads what is left, so that the program cannot block.
    func end() -> Int32 {
        // At the end of the program reading from its terminal fails or gives nothing.
        while hasSomethingToRead(), let data = try? terminal.next(), !data.isEmpty {}
        process.waitUntilExit()
        return process.terminationStatus
    }

    /// False when the program said nothing for so long that it never will; then it is ended, so that a fault fails
    /// a test and does not hang it. A program that works prints something at least every few seconds.
    private func hasSomethingToRead() -> Bool {
        var request = pollfd(fd: terminal.fileDescriptor, events: Int16(POLLIN), revents: 0)
        let milliseconds: Int32 = 120_000
        var ready = poll(&request, 1, milliseconds)
        while ready < 0, errno == EINTR { ready = poll(&request, 1, milliseconds) }
        if ready > 0 { return true }
        kill(process.processIdentifier, SIGKILL)
        return false
    }

    struct Closed: Error, CustomStringConvertible {
        var screen: String
        var description: String { "the terminal closed; it showed \(screen.debugDescription)" }
    }

    struct Silence: Error, CustomStringConvertible {
        var screen: String
        var description: String { "nothing came for two minutes; the terminal showed \(screen.debugDescription)" }
    }
}
