#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// How many threads compute best: the cores this process may use. Two hardware threads of one core share its
/// vector units, so they count once.
package enum ProcessorCount {
    package static let physicalCores: Int = {
        #if canImport(Glibc)
            max(1, min(allowedCores(), quota() ?? Int.max))
        #else
            var cores: Int32 = 0
            var size = MemoryLayout<Int32>.size
            let known = sysctlbyname("hw.physicalcpu", &cores, &size, nil, 0) == 0
            return known ? max(1, Int(cores)) : 1
        #endif
    }()

    #if canImport(Glibc)
        /// Cores with at least one hardware thread that the scheduler may give to this process.
        private static func allowedCores() -> Int {
            let key = "Cpus_allowed_list:"
            guard let list = lines(of: "/proc/self/status").first(where: { $0.hasPrefix(key) }) else {
                return max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
            }
            var cores: Set<String> = []
            for part in list.dropFirst(key.count).split(whereSeparator: { ", \t".contains($0) }) {
                let ends = part.split(separator: "-").compactMap { Int($0) }
                guard let first = ends.first, let last = ends.last, first <= last, last < 65536 else { continue }
                for cpu in first...last {
                    // Hardware threads of one core name the same siblings.
                    let siblings = "/sys/devices/system/cpu/cpu\(cpu)/topology/thread_siblings_list"
                    cores.insert(lines(of: siblings).first ?? "cpu \(cpu)")
                }
            }
            return cores.count
        }

        /// A container's share of the processor time, in cores, rounded up.
        private static func quota() -> Int? {
            let fields = lines(of: "/sys/fs/cgroup/cpu.max").first?.split(separator: " ").map { Double($0) } ?? []
            guard fields.count == 2, let time = fields[0], let period = fields[1], period > 0, time > 0 else {
                return nil
            }
            return Int(min((time / period).rounded(.up), 4096))
        }

        private static func lines(of path: String) -> [String] {
            guard let file = fopen(path, "r") else { return [] }
            defer { fclose(file) }
            var lines: [String] = []
            var buffer = [CChar](repeating: 0, count: 4096)
            while lines.count < 1000, fgets(&buffer, Int32(buffer.count), file) != nil {
                let bytes = buffer.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }
                lines.append(String(decoding: bytes, as: UTF8.self))
            }
            return lines
        }
    #endif
}
