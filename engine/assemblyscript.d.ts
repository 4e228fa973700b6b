// What AssemblyScript's number types are to TypeScript, which reads the generated constants too.
declare type u32 = number
declare type usize = number
