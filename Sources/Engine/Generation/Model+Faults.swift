package import GGUF

extension Model {
    /// Everything that keeps a file from being a model of its family: tensors that are missing, misshaped, of a type
    /// without kernels or unknown to the family, and metadata that it does not understand. Empty for a file that loads.
    ///
    /// Metadata that the family cannot do without end the list, because they say which tensors there should be.
    package static func faults(of file: GGUFFile) -> [EngineError] {
        let weights = WeightMap(file, goesOn: true)
        var others: [EngineError] = []
        do {
            let hyper = try Hyperparameters(file.metadata)
            let family = try Registry.family(hyper.architecture)
            guard !file.tensors.isEmpty else { return [.vocabularyOnly(architecture: hyper.architecture)] }
            let architecture = try family.init(hyper, weights)
            others = hyper.unread
            if let fault = thrown({ () throws(EngineError) in try weights.finish() }) { others.append(fault) }
            let rows = architecture.head.vocabularySize
            if let fault = thrown({ () throws(EngineError) in try checkVocabulary(file.metadata, hyper, rows: rows) }) {
                others.append(fault)
            }
        } catch {
            others.append(error)
        }
        // A tensor that is bound in two places is named once.
        var seen: Set<String> = []
        return ((weights.faults ?? []) + others).filter { seen.insert($0.description).inserted }
    }

    private static func thrown(_ check: () throws(EngineError) -> Void) -> EngineError? {
        do {
            try check()
            return nil
        } catch {
            return error
        }
    }
}
