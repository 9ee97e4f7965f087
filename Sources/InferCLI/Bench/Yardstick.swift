import Engine
import Foundation
import GGUF

/// What the machine can do at most, measured again beside every repetition of a test, so that the shares in a row
/// compare figures of the same moment.
final class Yardstick {
    struct Reading {
        /// 10⁹ bytes read per second.
        var bandwidth: Double
        /// 10⁹ int8 multiply-adds per second.
        var int8Peak: Double
    }

    private let probe: MachineProbe
    /// Memory of our own in 2 MiB pages.
    private let own: MappedMemory?
    /// Part of the mapped model file, which usually lies in 4 KiB pages.
    private let mapped: UnsafeRawBufferPointer?
    /// Keeps `mapped` alive.
    private let file: GGUFFile

    /// - Parameter file: a large one is streamed from too, and leaves less memory to take for the purpose.
    init(threads: Int, file: GGUFFile) {
        probe = MachineProbe(threads: threads)
        self.file = file
        mapped = Self.adjoiningTensors(file, bytes: Self.mappedBytes)
        own = MachineProbe.memory(bytes: mapped == nil ? 512 << 20 : 256 << 20, pages: .huge)
    }

    private static let mappedBytes = 512 << 20

    /// The best of both kinds of memory: a limit, whichever the weights lie in.
    func read() -> Reading {
        var bandwidth = 0.0
        if let own {
            bandwidth = probe.readBandwidth(of: UnsafeRawBufferPointer(start: own.pointer, count: own.count), runs: 3)
        }
        if let mapped { bandwidth = max(bandwidth, probe.readBandwidth(of: mapped, runs: 3)) }
        return Reading(bandwidth: bandwidth, int8Peak: probe.int8Peak())
    }

    /// `bytes` bytes that tensors fill without gaps, or nil when there is no such stretch.
    private static func adjoiningTensors(_ file: GGUFFile, bytes: Int) -> UnsafeRawBufferPointer? {
        var start: UnsafeRawPointer?
        var end: UnsafeRawPointer?
        for tensor in file.tensors {
            guard let base = tensor.bytes.baseAddress else { continue }
            // Alignment leaves a few bytes between tensors.
            if let last = end, base < last || base - last > 4096 { start = nil }
            let first = start ?? base
            start = first
            end = base + tensor.bytes.count
            if base + tensor.bytes.count - first >= bytes { return UnsafeRawBufferPointer(start: first, count: bytes) }
        }
        return nil
    }
}
