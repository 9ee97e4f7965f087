import Engine
import GGUF

/// What `infer inspect` shows; its JSON form is this structure.
struct FileSummary: Encodable {
    struct Entry: Encodable {
        let key: String
        let type: String
        /// Elements of an array, of which `value` may show only the first.
        let count: Int?
        let value: MetadataValue
    }

    struct Tensor: Encodable {
        let name: String
        let type: String
        /// GGUF order, the contiguous one first.
        let dimensions: [Int]
        let bytes: Int
    }

    /// All tensors of one type.
    struct TypeTotal: Encodable {
        let type: String
        var tensors = 0
        var parameters = 0
        var bytes = 0
    }

    struct Totals: Encodable {
        var tensors = 0
        var parameters = 0
        /// Parameters that one generated token needs; see `ActiveParameters`.
        var activeParameters = 0
        var bytes = 0
        var bitsPerWeight = 0.0
        /// Largest share of the file first.
        var types: [TypeTotal] = []
    }

    /// Bytes needed to run one sequence.
    struct Memory: Encodable {
        let contextLength: Int
        let weights: Int
        let cache: Int
        let scratch: Int
        let total: Int
    }

    /// The layers of the main pass, and what they remember.
    struct Layers: Encodable {
        struct Kind: Encodable {
            let kind: String
            let layers: Int
        }

        struct Experts: Encodable {
            let count: Int
            let usedPerToken: Int
        }

        /// Most frequent first.
        let kinds: [Kind]
        /// Layers that predict a further token; the main pass leaves them out.
        let nextTokenLayers: Int
        let experts: Experts?
        /// What each further token adds to the key/value cache, in 16 bits per number.
        let cacheBytesPerToken: Int
        /// What layers with a window keep at most, whatever the number of tokens.
        let windowBytes: Int
        /// What recurrent layers keep, whatever the number of tokens.
        let recurrentBytes: Int

        init(_ model: Model) {
            kinds = model.info.layerKinds.map { Kind(kind: $0.kind, layers: $0.count) }
            nextTokenLayers = model.info.nextTokenLayers
            experts = model.info.experts.map { Experts(count: $0.count, usedPerToken: $0.used) }
            cacheBytesPerToken = model.stateLayout.bytesPerToken
            windowBytes = model.stateLayout.windowBytes
            recurrentBytes = model.stateLayout.recurrentBytes
        }
    }

    let path: String
    let version: Int
    let fileSize: Int
    let architecture: String?
    let metadata: [Entry]
    let tensors: [Tensor]
    let totals: Totals
    /// Nil when the model cannot be run.
    let layers: Layers?
    /// Nil when the model cannot be run.
    let memory: Memory?
    /// Why the model cannot be run, or nil when it can.
    let cannotRun: String?

    /// Elements of an array that are shown unless all are asked for.
    private static let shownElements = 8

    init(_ file: GGUFFile, contextLength: Int, full: Bool) {
        path = file.path
        version = file.version
        fileSize = file.fileSize
        architecture = file.metadata[GGUFFormat.architectureKey]?.stringValue
        metadata = file.metadata.keys.compactMap { key in
            file.metadata[key].map { value in
                Entry(
                    key: key, type: value.typeDescription, count: value.array?.count,
                    value: MetadataValue(value, elements: full ? .max : Self.shownElements))
            }
        }
        tensors = file.tensors.map {
            Tensor(name: $0.name, type: $0.type.name, dimensions: $0.dimensions, bytes: $0.byteCount)
        }
        totals = Self.totals(file)
        do {
            let model = try Model.load(file)
            let figures = model.memory(contextLength: contextLength)
            layers = Layers(model)
            memory = Memory(
                contextLength: contextLength, weights: figures.weights, cache: figures.cache,
                scratch: figures.scratch, total: figures.total)
            cannotRun = nil
        } catch {
            layers = nil
            memory = nil
            cannotRun = error.description
        }
    }

    private static func totals(_ file: GGUFFile) -> Totals {
        let active = ActiveParameters(file)
        var totals = Totals()
        var types: [GGUFTensorType: TypeTotal] = [:]
        for tensor in file.tensors {
            totals.tensors += 1
            totals.parameters += tensor.elementCount
            totals.activeParameters += active.count(of: tensor)
            totals.bytes += tensor.byteCount
            var type = types[tensor.type] ?? TypeTotal(type: tensor.type.name)
            type.tensors += 1
            type.parameters += tensor.elementCount
            type.bytes += tensor.byteCount
            types[tensor.type] = type
        }
        if totals.parameters > 0 { totals.bitsPerWeight = 8 * Double(totals.bytes) / Double(totals.parameters) }
        totals.types = types.values.sorted { ($1.bytes, $0.type) < ($0.bytes, $1.type) }
        return totals
    }
}

/// A metadata value as JSON, arrays cut to their first elements.
enum MetadataValue: Encodable {
    case integer(Int)
    case unsigned(UInt64)
    case float(Float)
    case double(Double)
    case bool(Bool)
    case string(String)
    case array([MetadataValue])

    init(_ value: GGUFValue, elements: Int) {
        switch value {
        case .uint64(let number): self = .unsigned(number)
        case .float32(let number): self = .float(number)
        case .float64(let number): self = .double(number)
        case .bool(let flag): self = .bool(flag)
        case .string(let text): self = .string(text)
        case .array(let array):
            self = .array((0..<min(elements, array.count)).map { MetadataValue(array[$0], elements: elements) })
        default: self = .integer(value.int ?? 0)
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .integer(let number): try container.encode(number)
        case .unsigned(let number): try container.encode(number)
        case .float(let number): try container.encode(number)
        case .double(let number): try container.encode(number)
        case .bool(let flag): try container.encode(flag)
        case .string(let text): try container.encode(text)
        case .array(let values): try container.encode(values)
        }
    }
}
