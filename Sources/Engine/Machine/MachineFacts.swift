import Foundation

/// What the system says about this machine.
package struct MachineFacts: Sendable {
    /// The processor's name, "unknown" where the system does not tell.
    package let cpu: String
    /// Logical processors.
    package let cores: Int
    /// Bytes of memory, and of it what is free or can be freed.
    package let memory: Int
    package let availableMemory: Int
    /// For example ("L2", 1 MiB), as seen by the first core.
    package let caches: [(name: String, bytes: Int)]
    /// Bytes of an ordinary page.
    package let pageBytes: Int
    /// The setting of transparent 2 MiB pages, for example "madvise"; nil where there is no such thing.
    package let hugePages: String?

    package static func read() -> MachineFacts {
        let memory = memoryInfo()
        return MachineFacts(
            cpu: cpuName() ?? "unknown",
            cores: ProcessInfo.processInfo.activeProcessorCount,
            memory: memory["MemTotal"] ?? Int(ProcessInfo.processInfo.physicalMemory),
            availableMemory: memory["MemAvailable"] ?? 0,
            caches: cacheSizes(),
            pageBytes: max(1, Int(sysconf(Int32(_SC_PAGESIZE)))),
            hugePages: hugePageSetting())
    }

    private static func text(_ path: String) -> String? { try? String(contentsOfFile: path, encoding: .utf8) }

    private static func cpuName() -> String? {
        for line in (text("/proc/cpuinfo") ?? "").split(separator: "\n") where line.hasPrefix("model name") {
            return line.split(separator: ":").last.map { $0.trimmingCharacters(in: .whitespaces) }
        }
        return nil
    }

    /// Lines such as "MemTotal:  24571332 kB", in bytes.
    private static func memoryInfo() -> [String: Int] {
        var values: [String: Int] = [:]
        for line in (text("/proc/meminfo") ?? "").split(separator: "\n") {
            let words = line.split(whereSeparator: { $0 == ":" || $0 == " " })
            if words.count == 3, let kilobytes = Int(words[1]) { values[String(words[0])] = kilobytes * 1024 }
        }
        return values
    }

    private static func cacheSizes() -> [(name: String, bytes: Int)] {
        (0..<8).compactMap { index in
            let folder = "/sys/devices/system/cpu/cpu0/cache/index\(index)/"
            func word(_ name: String) -> String? {
                text(folder + name)?.trimmingCharacters(in: .whitespacesAndNewlines)
            }
            guard let level = word("level"), let type = word("type"), let size = word("size") else { return nil }
            guard size.hasSuffix("K"), let kilobytes = Int(size.dropLast()) else { return nil }
            let suffix = type == "Data" ? "d" : type == "Instruction" ? "i" : ""
            return ("L\(level)\(suffix)", kilobytes * 1024)
        }
    }

    /// The word in brackets of "always [madvise] never".
    private static func hugePageSetting() -> String? {
        guard let setting = text("/sys/kernel/mm/transparent_hugepage/enabled") else { return nil }
        return setting.split(separator: " ").first { $0.hasPrefix("[") }.map {
            String($0.dropFirst().prefix { $0 != "]" })
        }
    }
}
