import ChatTemplates
import Foundation

/// A low-rank adapter as PEFT writes it: for each adapted matrix W two narrow ones, W + alpha / rank · B · A.
struct LoRAAdapter: TensorSource {
    /// The model's folder or its name on a hub.
    let base: String?
    /// What the file states; readers divide it by the rank.
    let alpha: Float
    let names: [String]
    private let checkpoint: Checkpoint
    private let stems: [String: String]

    var isAdapter: Bool { true }

    /// - Throws: `ConvertError.config`, and those of reading.
    init(_ settings: JSONObject, folder: String) throws(ConvertError) {
        func refuse(_ key: String, _ found: String, _ expected: String) -> ConvertError {
            .format(path: "\(folder)/adapter_config.json", field: key, found: found, expected: expected)
        }
        let kind = settings["peft_type"]?.stringValue ?? "LORA"
        guard kind == "LORA" else { throw refuse("peft_type", kind, "LORA") }
        guard settings["use_dora"]?.boolValue != true else { throw refuse("use_dora", "true", "false") }
        for key in ["rank_pattern", "alpha_pattern"] where settings[key]?.objectValue?.isEmpty == false {
            throw refuse(key, "an object", "one rank and one alpha for all")
        }
        guard let rank = settings["r"]?.intValue, 1...65_536 ~= rank else {
            throw refuse("r", "something else", "a rank from 1 to 65536")
        }
        guard let alpha = settings["lora_alpha"]?.doubleValue, alpha.isFinite else {
            throw refuse("lora_alpha", "something else", "a number")
        }
        // Rank-stabilised adapters divide by the root of the rank.
        self.alpha = Float(settings["use_rslora"]?.boolValue == true ? alpha * Double(rank).squareRoot() : alpha)
        base = settings["base_model_name_or_path"]?.stringValue
        checkpoint = try Checkpoint(folder: folder, single: "adapter_model.safetensors")
        var stems: [String: String] = [:]
        var names: [String] = []
        for name in checkpoint.names {
            var plain = name
            for prefix in ["base_model.model."] where plain.hasPrefix(prefix) { plain.removeFirst(prefix.count) }
            for prefix in ["model.language_model."] where plain.hasPrefix(prefix) {
                plain = "model." + plain.dropFirst(prefix.count)
            }
            guard let range = plain.range(of: ".lora_B") else {
                guard let first = name.range(of: ".lora_A"),
                    checkpoint.tensor(name.replacingCharacters(in: first, with: ".lora_B")) != nil
                else {
                    throw .adapter(tensor: name, reason: "no lora_A beside a lora_B; other parts cannot be converted")
                }
                continue
            }
            let weight = plain[..<range.lowerBound] + ".weight"
            stems[String(weight)] = name
            names.append(String(weight))
        }
        guard !names.isEmpty else { throw .adapter(tensor: folder, reason: "holds no lora_A and lora_B") }
        self.stems = stems
        self.names = names.sorted()
    }

    /// B, with the rows of the adapted matrix: what reorders these reorders B.
    func values(_ name: String) -> TensorValues? {
        stems[name].flatMap { checkpoint.tensor($0) }.map { .stored($0) }
    }

    /// A and B of one tensor of the new file, under their names and with their shapes.
    func parts(of item: Blueprint.Item) throws(ConvertError) -> [(String, [Int], TensorValues)] {
        let (a, b) = try split(item.values)
        let rank = b.columns
        let stacked = Array(item.dimensions.dropFirst(2))
        let experts = stacked.reduce(1, *)
        guard item.dimensions.count >= 2, a.columns == item.dimensions[0], a.rows == rank * experts,
            b.rows == item.dimensions[1] * experts
        else {
            throw .tensorShape(
                name: "\(item.name).lora_a", found: [a.rows, a.columns], expected: [rank * experts, item.dimensions[0]])
        }
        return [
            ("\(item.name).lora_a", [item.dimensions[0], rank] + stacked, a),
            ("\(item.name).lora_b", [rank, item.dimensions[1]] + stacked, b),
        ]
    }

    private func split(_ values: TensorValues) throws(ConvertError) -> (TensorValues, TensorValues) {
        switch values {
        case .stored(let b):
            let name = b.name.replacingOccurrences(of: ".lora_B", with: ".lora_A")
            guard let a = checkpoint.tensor(name) else { throw .missingTensor(name: name, expected: []) }
            guard a.shape.count == 2, b.shape.count == 2, a.shape[0] == b.shape[1] else {
                throw .tensorShape(name: name, found: a.shape, expected: [b.shape.last ?? 0, 0])
            }
            return (.stored(a), values)
        case .rows(let inner, let count, let source):
            let (a, b) = try split(inner)
            return (a, .rows(b, count: count, source: source))
        case .columns(let inner, let source):
            let (a, b) = try split(inner)
            return (.columns(a, source: source), b)
        case .stacked(let parts):
            var pairs: [(TensorValues, TensorValues)] = []
            for part in parts { pairs.append(try split(part)) }
            return (.stacked(pairs.map(\.0)), .stacked(pairs.map(\.1)))
        default:
            throw .adapter(
                tensor: firstName(values), reason: "the file's tensor is no reordering of the checkpoint's")
        }
    }

    private func firstName(_ values: TensorValues) -> String {
        switch values {
        case .stored(let tensor): tensor.name
        case .packed(let tensor): tensor.name
        case .constant: "a constant"
        case .rows(let inner, _, _), .columns(let inner, _), .changed(let inner, _), .transposed(let inner, _, _),
            .folded(let inner, _):
            firstName(inner)
        case .stacked(let parts): parts.first.map(firstName) ?? ""
        }
    }
}
