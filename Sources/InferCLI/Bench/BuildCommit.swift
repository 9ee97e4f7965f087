import Foundation

/// Which version of the source this program was built from, as far as can be told.
enum BuildCommit {
    /// `INFER_COMMIT` if it is set, else what git says of the folder that the program lies in (with `-dirty` when files
    /// were changed since), else nothing.
    static func find() -> String {
        if let stated = ProcessInfo.processInfo.environment["INFER_COMMIT"], !stated.isEmpty { return stated }
        let program = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
        let git = Process()
        git.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        git.arguments = [
            "git", "-C", program.deletingLastPathComponent().path, "describe", "--always", "--exclude=*", "--dirty",
        ]
        let output = Pipe()
        git.standardOutput = output
        git.standardError = FileHandle.nullDevice
        guard (try? git.run()) != nil else { return "" }
        let text = (try? output.fileHandleForReading.readToEnd()) ?? Data()
        git.waitUntilExit()
        guard git.terminationStatus == 0 else { return "" }
        return String(decoding: text, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }
}
