import Engine
import Foundation
import GGUF
import TestSupport

@testable import ModelTools

extension ConvertFolder {
    @discardableResult
    func convert(_ type: String? = "F32", base: String? = nil, threads: Int = 2) throws -> GGUFFile {
        let plan = try ConvertPlan(folder: path, base: base, mixture: type.flatMap { QuantMixture(name: $0) })
        try Converter(plan, threads: threads).write(to: target) { _, _ in true }
        return try GGUFFile(path: target)
    }

    /// The error that converting ends with, as text; nil without one. There is no file then.
    func failure(_ type: String? = "F32") -> String? {
        do {
            try convert(type)
            return nil
        } catch {
            return "\(error)"
        }
    }
}

extension GGUFFile {
    /// A tensor's values.
    func floats(_ name: String) -> [Float] {
        guard let tensor = tensor(name), let format = QuantFormat.find(tensor.type) else { return [] }
        return format.dequantize(row: Array(tensor.bytes))
    }
}
