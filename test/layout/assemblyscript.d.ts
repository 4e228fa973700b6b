// What AssemblyScript's number types are to TypeScript, for the generated constants that the layout test reads.
declare type u32 = number
declare type usize = number
