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
    static func run(_ arguments: [String], input: String = "", environment: [String: String] = [:]) throws -> Result {
        let folder = FileManager.default.temporaryDirectory.appending(path: "infer-run-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        // Files rather than pipes: nothing can block.
        func file(_ name: String, _ content: String = "") throws -> URL {
            let url = folder.appending(path: name)
            try Data(content.utf8).write(to: url)
            return url
        }
        let output = try file("output")
        let errors = try file("errors")
        let process = Process()
        process.executableURL = executable
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardInput = try FileHandle(forReadingFrom: try file("input", input))
        process.standardOutput = try FileHandle(forWritingTo: output)
        process.standardError = try FileHandle(forWritingTo: errors)
        try process.run()
        process.waitUntilExit()
        return Result(
            status: process.terminationStatus, output: try String(contentsOf: output, encoding: .utf8),
            errors: try String(contentsOf: errors, encoding: .utf8))
    }
}

/// The command at a terminal of its own.
final class TerminalSession {
    let process = Process()
    private let terminal: FileHandle
    private(set) var screen = ""

    init(_ arguments: [String]) throws {
        var controller: Int32 = -1
        var device: Int32 = -1
        try #require(openpty(&controller, &device, nil, nil, nil) == 0)
        terminal = FileHandle(fileDescriptor: controller, closeOnDealloc: true)
        let end = FileHandle(fileDescriptor: device, closeOnDealloc: true)
        process.executableURL = InferProcess.executable
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(["TERM": "xterm", "NO_COLOR": "1"]) { $1 }
        process.standardInput = end
        process.standardOutput = end
        process.standardError = end
        try process.run()
        try end.close()
    }

    func type(_ text: String) { terminal.write(Data(text.utf8)) }

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
        let data = terminal.availableData
        try #require(!data.isEmpty, "the terminal closed; it showed \(screen.debugDescription)")
        screen += String(decoding: data, as: UTF8.self)
    }

    /// The exit status. Reads what is left, so that the program cannot block.
    func end() -> Int32 {
        // At the end of the program reading from its terminal fails or gives nothing.
        while hasSomethingToRead(), let data = try? terminal.read(upToCount: 4096), !data.isEmpty {}
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

    struct Silence: Error, CustomStringConvertible {
        var screen: String
        var description: String { "nothing came for two minutes; the terminal showed \(screen.debugDescription)" }
    }
}
