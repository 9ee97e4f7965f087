package import CKernels

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The instruction sets kernels exist for. All give the same bits; they differ in speed. `neon` has dot products,
/// `i8mm` products of int8 matrices beside them.
package enum InstructionSet: String, Sendable, CaseIterable {
    case scalar, avx2, avx512, neon, i8mm

    /// The environment variable that overrides the choice.
    package static let environmentVariable = "INFER_ISA"

    package var kernel: ck_isa {
        switch self {
        case .scalar: CK_ISA_SCALAR
        case .avx2: CK_ISA_AVX2
        case .avx512: CK_ISA_AVX512
        case .neon: CK_ISA_NEON
        case .i8mm: CK_ISA_I8MM
        }
    }

    /// True when this machine can run it.
    package var isAvailable: Bool { ck_isa_available(kernel) != 0 }

    package static var available: [InstructionSet] { allCases.filter(\.isAvailable) }

    /// The one the kernels use now.
    package static var selected: InstructionSet {
        let isa = ck_isa_selected()
        return allCases.first { $0.kernel == isa } ?? .scalar
    }

    /// Selects what `INFER_ISA` asks for, by default the best of this machine. The environment is read once per
    /// process; later calls return or throw the same.
    @discardableResult
    package static func activate() throws(InstructionSetError) -> InstructionSet { try activated.get() }

    private static let activated: Result<InstructionSet, InstructionSetError> = {
        guard let value = getenv(environmentVariable) else { return .success(selected) }
        let name = String(cString: value)
        guard !name.isEmpty else { return .success(selected) }
        guard let wanted = InstructionSet(rawValue: name.lowercased()), ck_isa_select(wanted.kernel) != 0 else {
            return .failure(.unavailable(name: name, available: available))
        }
        return .success(wanted)
    }()
}

package enum InstructionSetError: Error, Equatable, CustomStringConvertible {
    /// `INFER_ISA` names something this machine cannot run.
    case unavailable(name: String, available: [InstructionSet])

    package var description: String {
        switch self {
        case .unavailable(let name, let available):
            let names = available.map(\.rawValue).joined(separator: ", ")
            return "\(InstructionSet.environmentVariable)=\(name): this machine offers \(names)"
        }
    }
}
